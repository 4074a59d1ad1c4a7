"""Opening and reading a FER2013-style CSV wherever it lies."""

from components.source.files import Source, find_source
from components.source.opening import OpenCsv, open_csv
from components.source.pixels import read_pixels
from components.source.rows import CsvReader, Rejected, Rows

__all__ = ["CsvReader", "OpenCsv", "Rejected", "Rows", "Source", "find_source", "open_csv", "read_pixels"]
