"""The data contract all steps share: emotions, the Parquet schema, reading and writing splits."""

from ferkit.data.faces import DIGEST, EMOTIONS, ContentDigest, Faces, digest_pixels  # isort: skip  (before Arrow)
from ferkit.data.atomic_folder import atomic_folder
from ferkit.data.dataset import PROFILE, SPLITS, USAGE, Profile, read_profile, split_path, write_profile
from ferkit.data.splits import (
    READ_AT_A_TIME,
    ROW_GROUP,
    SplitWriter,
    read_column,
    read_columns_in_chunks,
    read_split,
    read_split_in_chunks,
)

__all__ = [
    "DIGEST",
    "EMOTIONS",
    "PROFILE",
    "READ_AT_A_TIME",
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
