"""A synthetic data set in FER2013's form: drawn faces, seven expressions, no licence and no download."""

from ferkit.data.sample.csv import draw_csv, planted

__all__ = ["draw_csv", "planted"]
