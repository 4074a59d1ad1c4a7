"""How long something took, in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Seconds under a minute, minutes under an hour, hours above.

    >>> duration(4.21), duration(65), duration(4 * 3600 + 300)
    ('4.2 s', '1 m 05 s', '4 h 05 m')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, over = divmod(int(seconds), 60)
    return f"{minutes} m {over:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} m"
