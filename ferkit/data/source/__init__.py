"""Opening and reading a FER2013-style CSV wherever it lies."""

from ferkit.data.source.files import Source, find_source
from ferkit.data.source.opening import OpenCsv, open_csv
from ferkit.data.source.pixels import read_pixels
from ferkit.data.source.row import Rejected
from ferkit.data.source.rows import CsvReader, Rows

__all__ = ["CsvReader", "OpenCsv", "Rejected", "Rows", "Source", "find_source", "open_csv", "read_pixels"]
