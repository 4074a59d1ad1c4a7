"""What every refusal of this project is."""

from __future__ import annotations

LONGEST = 700
"""Characters: a path or an address, what was found, and the cure."""


def assert_one_sentence(said: object, about: object = "") -> None:
    """One line that can be printed, not too long, and no traceback."""
    text = str(said)
    assert text.strip(), about
    assert len(text) <= LONGEST, (about, len(text), text[:300])
    assert text.isprintable(), (about, text[:300])
    assert "Traceback" not in text, about
    assert not text.endswith("."), (about, text)
