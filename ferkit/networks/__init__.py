"""Architectures, the layers around them, and what an exported model shows them."""

from typing import Literal

Scaling = Literal["none", "symmetric", "face"]
"""Of grey levels, inside the model: 0..255, -1..1, or each face to mean 0 and deviation 1."""

Averaging = Literal["none", "flip", "crops"]
"""What an exported model averages over: the face, it and its mirror image, or ten crops."""
