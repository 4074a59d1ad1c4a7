"""The data contract all steps share: emotions, the Parquet schema, reading and writing splits."""

from components.faces.dataset import (
    DIGEST,
    ROW_GROUP,
    SPLITS,
    USAGE,
    ContentDigest,
    Faces,
    Profile,
    SplitWriter,
    digest_pixels,
    read_column,
    read_columns_in_chunks,
    read_profile,
    read_split,
    read_split_in_chunks,
    split_path,
    write_profile,
)
from components.faces.emotions import EMOTIONS
from components.faces.whole import writing_whole

__all__ = [
    "DIGEST",
    "EMOTIONS",
    "ROW_GROUP",
    "SPLITS",
    "USAGE",
    "ContentDigest",
    "Faces",
    "Profile",
    "SplitWriter",
    "digest_pixels",
    "read_column",
    "read_columns_in_chunks",
    "read_profile",
    "read_split",
    "read_split_in_chunks",
    "split_path",
    "write_profile",
    "writing_whole",
]
