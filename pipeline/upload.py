"""Puts a CSV of this machine where the pods of a cluster can read it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from ferkit.data.source.files import LocalFile
from ferkit.errors import UserError
from pipeline.kubeflow import RunConfig


def with_uploaded_csv(run_config: RunConfig, prefix: str) -> RunConfig:
    """Puts a CSV of this machine under an `s3://bucket/prefix`, by its content's digest, unless it is there already.

    Of an archive with a member behind it (`sets.zip#fer2013.csv`) the whole is put there, and the member stays.

    Keys and endpoint are boto3's own (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, profiles).

    Raises:
        UserError: no such file, no such bucket, or no right to write there.
    """
    import boto3
    from boto3.exceptions import S3UploadFailedError
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, folder = prefix.removeprefix("s3://").strip("/").partition("/")
    if not prefix.startswith("s3://") or not bucket:
        raise UserError(f"--upload: {prefix!r} is no place to put a file; use s3://bucket/prefix")
    source = LocalFile(run_config.parameters.csv)
    path = Path(source.address).expanduser()
    member = f"#{source.member}" if source.member else ""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; --upload takes a CSV of this machine, named by --csv") from None
    key = "/".join(part for part in (folder, f"{digest}-{path.name}") if part)
    try:
        client = boto3.Session().client("s3")
        if not _is_there(client, bucket, key, path.stat().st_size):
            client.upload_file(str(path), bucket, key)
    except (BotoCoreError, ClientError, S3UploadFailedError, ValueError) as error:
        raise UserError(
            f"s3://{bucket}/{key}: {error}; check the bucket, and the keys in AWS_ACCESS_KEY_ID or a profile"
        ) from None
    return replace(
        run_config, parameters=run_config.parameters.model_copy(update={"csv": f"s3://{bucket}/{key}{member}"})
    )


def _is_there(client: Any, bucket: str, key: str, size: int) -> bool:
    from botocore.exceptions import ClientError

    try:
        return client.head_object(Bucket=bucket, Key=key)["ContentLength"] == size
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return False
        raise
