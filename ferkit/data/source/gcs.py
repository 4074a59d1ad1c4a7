"""CSVs in Google Cloud Storage, by Google's own client, which kfp brings."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn, cast

import requests
from google.api_core.exceptions import Forbidden, GoogleAPIError, NotFound, PreconditionFailed, RetryError, Unauthorized
from google.auth.exceptions import GoogleAuthError
from google.cloud.storage import Blob, Client
from google.cloud.storage.fileio import BlobReader
from google.cloud.storage.retry import DEFAULT_RETRY

from ferkit.addresses import split_bucket, split_member
from ferkit.errors import UserError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

RETRY: Final = DEFAULT_RETRY.with_timeout(15)
"""Seconds for which a failed request is retried."""

TIMEOUT: Final = 10
"""Seconds to connect, and between two bytes: with `RETRY`, a server that falls silent is a sentence within 30 s."""

BUFFER: Final = 8 * 1024 * 1024
"""Bytes of a request: what is lost when a connection breaks."""

UNSIGNED: Final = "GS_NO_SIGN_REQUEST"

_ERRORS = (GoogleAPIError, GoogleAuthError, requests.RequestException, OSError, ValueError)


class GcsObject:
    """An object at `gs://bucket/key`.

    Credentials are Google's Application Default Credentials: GOOGLE_APPLICATION_CREDENTIALS, gcloud's, the machine's or
    the pod's own. `GS_NO_SIGN_REQUEST=YES` (GDAL's variable) asks without any, for a public bucket.
    `STORAGE_EMULATOR_HOST` names another server that speaks the protocol.
    """

    kind = "csv"
    pins = True

    def __init__(self, address: str) -> None:
        self.address, self.member = split_member(address)
        self._bucket, self._key = split_bucket(self.address)
        self.name = self._key.rpartition("/")[2]
        if not self._bucket or not self.name:
            raise UserError(f"{address}: names no object; use gs://bucket/key")

    def version(self, sha256: str = "") -> str:
        """`gs:generation=<generation>:<bytes>`; the generation changes whenever the object is written."""
        return _version(self._find())

    def open(self, version: str = "") -> BinaryIO:
        """The object's bytes, all of one generation.

        Raises:
            UserError: it is not there, has changed, or cannot be reached.
        """
        found = self._find()
        if version not in ("", _version(found)):
            raise UserError(
                f"{self.address}: has changed since it was located ({version}, now {_version(found)}); run again"
            )
        settings = {"retry": RETRY, "timeout": TIMEOUT, "if_generation_match": found.generation}
        reader = BlobReader(found, chunk_size=BUFFER, **settings)
        return cast(BinaryIO, io.BufferedReader(_Reader(reader, self), BUFFER))

    def _find(self) -> Blob:
        """The object as it is now."""
        try:
            unsigned = os.environ.get(UNSIGNED, "").upper() in ("YES", "TRUE", "1")
            client = Client.create_anonymous_client() if unsigned else Client()
            blob = client.bucket(self._bucket).blob(self._key)
            blob.reload(retry=RETRY, timeout=TIMEOUT)
            return blob
        except _ERRORS as error:
            self.refuse(error)

    def refuse(self, error: Exception, was_there: bool = False) -> NoReturn:
        """Raises what Google's client says as a sentence.

        Args:
            error: of Google's client.
            was_there: whether the object was found before: without versions, Google forgets one that is overwritten.
        """
        if isinstance(error, PreconditionFailed) or (was_there and isinstance(error, NotFound)):
            sentence = "has changed while it was read; run again"
        elif isinstance(error, NotFound):
            sentence = "there is no such object; check bucket and key"
        elif isinstance(error, GoogleAuthError):
            sentence = (
                "no credentials for Google Cloud Storage; set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth "
                f"application-default login` (of a public bucket, set {UNSIGNED}=YES)"
            )
        elif isinstance(error, Forbidden | Unauthorized):
            sentence = "Google Cloud Storage refuses these credentials; check their right to read the object"
        else:
            cause = error.cause if isinstance(error, RetryError) else error
            what = " ".join(str(cause).split())[:200]
            sentence = f"Google Cloud Storage cannot be reached ({what}); check the network"
        raise UserError(f"{self.address}: {sentence}") from error


class _Reader(io.RawIOBase):
    """What Google's client reads, whose errors are sentences."""

    def __init__(self, reader: BlobReader, source: GcsObject) -> None:
        self._reader, self._source = reader, source

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._reader.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return int(self._reader.seek(offset, whence) or 0)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._reader.read(len(view))
        except _ERRORS as error:
            self._source.refuse(error, was_there=True)
        view[: len(data)] = data
        return len(data)


def _version(blob: Blob) -> str:
    return f"gs:generation={blob.generation}:{blob.size}"
