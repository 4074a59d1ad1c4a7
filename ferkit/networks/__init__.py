"""Architectures, the layers around them, and what an exported model shows them."""

from typing import Literal

Normalization = Literal["none", "minus_one_to_one", "per_image"]
"""Of grey levels, inside the model: 0..255, -1..1, or each face to mean 0 and deviation 1."""

TestTimeAugmentation = Literal["none", "flip", "crops"]
"""Whose probabilities an exported model averages: the face's, its and its mirror image's, or those of ten crops."""
