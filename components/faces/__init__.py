"""The data contract all steps share: emotions, the Parquet schema, reading and writing splits."""

from components.faces.dataset import (
    SPLITS,
    ContentDigest,
    Faces,
    Profile,
    SplitWriter,
    read_profile,
    read_split,
    read_split_in_chunks,
    split_path,
    write_profile,
)
from components.faces.emotions import EMOTIONS

__all__ = [
    "EMOTIONS",
    "SPLITS",
    "ContentDigest",
    "Faces",
    "Profile",
    "SplitWriter",
    "read_profile",
    "read_split",
    "read_split_in_chunks",
    "split_path",
    "write_profile",
]
