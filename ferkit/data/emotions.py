"""The seven expressions of FER2013, in the order of their labels."""

from typing import Final

EMOTIONS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""`EMOTIONS[label]` is the name of `label`, 0..6."""
