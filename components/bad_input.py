"""What the pipeline says when it was given something it cannot use: see ferkit/errors.py."""

from ferkit.errors import UserError as BadInput
from ferkit.errors import nearest

__all__ = ["BadInput", "nearest"]
