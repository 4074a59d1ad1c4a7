"""The data set that a version was registered with, fetched from where its artifact lies."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ferkit.addresses import split_bucket
from ferkit.errors import OutOfReach, UserError
from ferkit.registry.versions import Version

DATA_URI: Final = "data.uri"
"""Tag of a version: address of the data set folder that it was judged on."""

_FOLDER_OF_0_1: Final = "data.folder"

_NEEDED: Final = ("profile.json", "test.parquet")
"""The files of a data set folder that the gate reads."""

WHOLE: Final = (*_NEEDED, "train.parquet", "validation.parquet")
"""All files of a data set folder that evaluating and registering a model read."""


@contextmanager
def data_of(version: Version, chosen: Path | None, needed: Sequence[str] = _NEEDED) -> Iterator[Path]:
    """A data set folder to judge a version on: the one passed, else what is needed of the version's own.

    Raises:
        UserError: there is none to be had from here; with the cure.
    """
    uri = version.tags.get(DATA_URI) or version.tags.get(_FOLDER_OF_0_1, "")
    cure = "use a data set folder (the output of ingest) with --data"
    if chosen is not None:
        yield chosen
    elif uri.startswith(("s3://", "minio://")):
        with tempfile.TemporaryDirectory() as folder:
            _fetch(uri, Path(folder), needed, cure)
            yield Path(folder)
    elif (Path(uri) / _NEEDED[0]).is_file():
        yield Path(uri)
    else:
        where = f" ({uri})" if uri else ""
        raise UserError(f"the data that version {version.number} was registered with{where} is not here; {cure}")


def _fetch(uri: str, folder: Path, needed: Sequence[str], cure: str) -> None:
    """Fetches the files from an S3 bucket; a `minio://` one is Kubeflow's own, behind AWS_ENDPOINT_URL."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = split_bucket(uri)
    try:
        client: Any = boto3.Session().client("s3")
        for name in needed:
            client.download_file(bucket, f"{prefix.strip('/')}/{name}", str(folder / name))
    except ClientError as error:
        raise UserError(f"{uri}: {error}; check the keys and AWS_ENDPOINT_URL, or {cure}") from None
    except (BotoCoreError, ValueError) as error:
        raise OutOfReach(
            f"{uri}: {error}; set the keys, and AWS_ENDPOINT_URL for another store than AWS, or {cure}"
        ) from None
