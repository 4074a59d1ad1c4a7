"""CSVs in S3, or in anything that speaks its protocol."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Mapping
from typing import Any, BinaryIO, Final, NoReturn, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound
from urllib3.exceptions import HTTPError

from ferkit.addresses import split_bucket, split_member
from ferkit.data.source.remote import RemoteFile, Stream
from ferkit.errors import UserError

SETTINGS: Final = Config(
    retries={"total_max_attempts": 4, "mode": "standard"},
    connect_timeout=5,
    read_timeout=5,  # for a first byte, and between bytes: what breaks off goes on where it stopped
    user_agent_extra="fer-pipeline",
)
CREDENTIALS: Final = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
PAYER: Final = "AWS_REQUEST_PAYER"
ARCHIVES: Final = ("GLACIER", "DEEP_ARCHIVE", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS")
"""Storage classes, and states of INTELLIGENT_TIERING, of which nothing can be read until it is restored."""

BUFFER: Final = 1024 * 1024


class S3Object:
    """An object at `s3://bucket/key`.

    Credentials, profile, region and `AWS_ENDPOINT_URL` are what boto3 finds: environment, ~/.aws, the machine's role.
    """

    kind = "csv"
    pins = True

    def __init__(self, address: str) -> None:
        self.address, self.member = split_member(address)
        self._bucket, self._key = split_bucket(self.address)
        self.name = self._key.rpartition("/")[2]
        if not self._bucket or not self.name:
            raise UserError(f"{address}: names no object; use s3://bucket/key")
        try:
            # A session of its own: boto3's default one keeps the first credentials for the life of the process.
            self._client = boto3.Session().client("s3", config=SETTINGS)
        except (BotoCoreError, ValueError) as error:
            self._refuse(error)

    def version(self, sha256: str = "") -> str:
        """`s3:version=<VersionId>:<bytes>`, or with `etag=` where the bucket keeps no versions."""
        return _version(self._head())

    def open(self, version: str = "") -> BinaryIO:
        """The object's bytes: of that version, or of the present one; never a mixture.

        Raises:
            UserError: it is not there, has changed, or S3 cannot be reached.
        """
        kind, _, name = version.removeprefix("s3:").rpartition(":")[0].partition("=")
        head = self._head(**({"VersionId": name} if kind == "version" else {}))
        if version and _version(head) != version:
            raise UserError(
                f"{self.address}: has changed since it was located ({version}, now {_version(head)}); run again"
            )
        size, etag = head["ContentLength"], head["ETag"]
        pinned: dict[str, Any] = {"IfMatch": etag, **payer()}
        if _keeps_versions(head):
            pinned["VersionId"] = head["VersionId"]

        def open_at(byte: int) -> Stream:
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._key, Range=f"bytes={byte}-", **pinned)
            except (BotoCoreError, ClientError) as error:  # boto3 has tried again already
                self._refuse(error)
            return found["Body"]

        remote = RemoteFile(self.address, size, open_at, (BotoCoreError, HTTPError))
        return cast(BinaryIO, io.BufferedReader(remote, BUFFER))

    def _head(self, **which: str) -> dict[str, Any]:
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=self._key, **which, **payer())
        except (BotoCoreError, ClientError) as error:
            self._refuse(error)
        self._refuse_archived(head)
        return cast(dict[str, Any], head)

    def _refuse_archived(self, head: Mapping[str, Any]) -> None:
        """Refuses an object that S3 has to fetch from its archive first, which it does not do by itself."""
        archive = head.get("ArchiveStatus") or head.get("StorageClass")
        if archive not in ARCHIVES or 'ongoing-request="false"' in head.get("Restore", ""):
            return
        if "Restore" in head:
            cure = "it is being brought back, which takes hours; run again then"
        else:
            cure = (
                f"bring it back with `aws s3api restore-object --bucket {self._bucket} --key {shlex.quote(self._key)} "
                "--restore-request Days=7`, which takes hours, and run again"
            )
        raise UserError(f"{self.address}: lies in S3's archive ({archive}); {cure}")

    def _refuse(self, error: Exception) -> NoReturn:
        kind = type(error).__name__
        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", kind))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 301 or code in ("AuthorizationHeaderMalformed", "PermanentRedirect"):
                sentence = f"the bucket lies in another region; set AWS_DEFAULT_REGION={_region(error)}"
            elif code == "InvalidObjectState":
                sentence = "lies in S3's archive; bring it back with `aws s3api restore-object`, and run again"
            elif code == "NoSuchBucket":
                sentence = "there is no such bucket; check its name and AWS_ENDPOINT_URL"
            elif status == 404:
                sentence = "there is no such object; check bucket and key"
            elif status == 412:
                sentence = "has changed while it was read; run again"
            elif status in (400, 401, 403):
                sentence = f"S3 refuses these credentials ({code}); check {CREDENTIALS}, and their rights to the object"
                sentence += "" if payer() else f"; of a bucket whose requester pays, set {PAYER}=requester"
            else:
                sentence = f"S3 answers {code}; try again later"
        elif isinstance(error, ProfileNotFound):
            sentence = (
                f"AWS_PROFILE names {error.kwargs['profile']!r}, a profile that is not in the AWS config "
                "(~/.aws/config, ~/.aws/credentials); name one that is"
            )
        elif kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"):
            sentence = f"no credentials for S3; set {CREDENTIALS}"
        else:
            sentence = f"S3 cannot be reached ({' '.join(str(error).split())}); check AWS_ENDPOINT_URL and the network"
        raise UserError(f"{self.address}: {sentence}") from error


def payer() -> dict[str, Any]:
    """Sends that the requester pays, where the environment sets it, by the variable that GDAL uses."""
    return {"RequestPayer": "requester"} if os.environ.get(PAYER) == "requester" else {}


def _region(error: ClientError) -> str:
    """The region that S3 names; a placeholder where it names none."""
    answer: Any = error.response
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers.get("x-amz-bucket-region") or answer.get("Error", {}).get("Region") or "REGION"


def _keeps_versions(head: dict[str, Any]) -> bool:
    return head.get("VersionId", "null") != "null"


def _version(head: dict[str, Any]) -> str:
    etag = head["ETag"].strip('"')
    which = f"version={head['VersionId']}" if _keeps_versions(head) else f"etag={etag}"
    return f"s3:{which}:{head['ContentLength']}"
