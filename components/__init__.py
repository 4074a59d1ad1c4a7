"""What each step of the pipeline does: one folder per step, readable top to bottom."""

__version__ = "0.1.0"
