"""How long something took is said in the unit that suits it."""

import pytest

from ferkit.durations import duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(4.21, "4.2 s"), (59.9, "59.9 s"), (65, "1 m 05 s"), (3599.9, "59 m 59 s"), (4 * 3600 + 300, "4 h 05 m")],
)
def test_a_duration_is_said_in_seconds_minutes_or_hours(seconds: float, said: str):
    assert duration(seconds) == said
