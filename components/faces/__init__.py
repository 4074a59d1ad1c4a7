"""The data contract all steps share: emotions, the Parquet schema, reading and writing splits."""

from components.faces.dataset import (
    DIGEST,
    SPLITS,
    USAGE,
    ContentDigest,
    Faces,
    Profile,
    SplitWriter,
    digest_pixels,
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
    "SPLITS",
    "USAGE",
    "ContentDigest",
    "Faces",
    "Profile",
    "SplitWriter",
    "digest_pixels",
    "read_profile",
    "read_split",
    "read_split_in_chunks",
    "split_path",
    "write_profile",
    "writing_whole",
]
