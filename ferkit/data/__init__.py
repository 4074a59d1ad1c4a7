"""The data contract all steps share: emotions, the Parquet schema, reading and writing splits."""

from ferkit.data.atomic_folder import atomic_folder
from ferkit.data.dataset import (
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
from ferkit.data.emotions import EMOTIONS

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
    "atomic_folder",
    "digest_pixels",
    "read_column",
    "read_columns_in_chunks",
    "read_profile",
    "read_split",
    "read_split_in_chunks",
    "split_path",
    "write_profile",
]
