"""CSVs on a web server."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO, Final, cast
from urllib.parse import unquote, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from ferkit.addresses import split_address
from ferkit.data.source.redirects import Session
from ferkit.data.source.remote import RemoteFile, Stream
from ferkit.errors import UserError

TIMEOUT: Final = (5, 12)
"""Seconds to connect, and between two bytes."""

BUFFER: Final = 1024 * 1024


class HttpFile:
    """A file at `http(s)://`; a name and password in the address are used, and not shown."""

    kind = "csv"
    pins = True

    def __init__(self, address: str) -> None:
        self._url = address
        parts = split_address(address)
        self.member = unquote(parts.fragment)
        # Without name and password, and without the signature of a presigned address.
        self.address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        self.name = unquote(parts.path).rpartition("/")[2]

    def version(self, sha256: str = "") -> str:
        """`http:etag=<ETag>:<bytes>`, or with `modified=`; sha256 of the file where the server sends neither."""
        with self._reach() as response:
            version = _version(response)
            if version:
                return version
            if not sha256:
                digest = hashlib.sha256()
                for data in response.iter_content(BUFFER):
                    digest.update(data)
                sha256 = digest.hexdigest()
            return f"sha256:{sha256}"

    def open(self, version: str = "") -> BinaryIO:
        """The file's bytes; a file that changes while it is read is refused.

        Raises:
            UserError: it is not there, has changed, or the server cannot be reached.
        """
        first = self._reach()
        seen = _version(first)
        self.pins = bool(seen)
        if version.startswith("http:") and seen != version:
            raise UserError(f"{self.address}: has changed since it was located ({version}, now {seen}); run again")
        size = _size(first)
        waiting: list[requests.Response] = [first]

        def open_at(byte: int) -> Stream:
            response = waiting.pop() if waiting and byte == 0 else self._get(byte)
            if not _same(seen, _version(response)):
                raise UserError(f"{self.address}: has changed while it was read; run again")
            stream = cast(Stream, response.raw)
            if response.status_code == 200 and byte:  # this server always starts at the beginning
                while byte and (skipped := stream.read(min(byte, BUFFER))):
                    byte -= len(skipped)
            return stream

        remote = RemoteFile(self.address, size, open_at, (requests.RequestException, HTTPError))
        return cast(BinaryIO, io.BufferedReader(remote, BUFFER))

    def _reach(self) -> requests.Response:
        """The response to a first request."""
        try:
            return self._get(0)
        except ConnectionError as error:
            raise UserError(f"{self.address}: {error}; check the address and the network") from error

    def _get(self, byte: int) -> requests.Response:
        """The response from a byte on.

        Raises:
            UserError: the server says no, or sends us on into a private network.
            ConnectionError: it cannot be reached, or is in trouble.
        """
        headers = {"Accept-Encoding": "identity", "User-Agent": "fer-pipeline"} | (
            {"Range": f"bytes={byte}-"} if byte else {}
        )
        try:
            with Session(self.address) as session:
                response = session.get(self._url, headers=headers, stream=True, timeout=TIMEOUT)
        except requests.exceptions.InvalidURL:
            raise UserError(f"{self.address}: is no address that can be requested") from None
        except requests.RequestException as error:
            raise ConnectionError(f"cannot be reached ({type(error).__name__})") from error
        status = response.status_code
        if status in (200, 206):
            return response
        response.close()
        if status >= 500 or status == 429:
            raise ConnectionError(f"the server answers {status}")
        cure = {
            401: "the server wants a name and password; use https://name:password@server/path",
            403: "the server refuses; a presigned address may have expired",
            404: "the server has no such file; check the address",
        }
        raise UserError(f"{self.address}: {cure.get(status, 'check the address')} (status {status})")


def _size(response: requests.Response) -> int | None:
    """Bytes of the whole file."""
    length = response.headers.get("Content-Length")
    return int(length) if length is not None and length.isdigit() and response.status_code == 200 else None


def _version(response: requests.Response) -> str:
    total = response.headers.get("Content-Range", "").rpartition("/")[2] or response.headers.get("Content-Length", "")
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    which = f"etag={etag}" if etag else f"modified={modified}" if modified else ""
    return f"http:{which}:{total}" if which else ""


def _same(first: str, later: str) -> bool:
    """Whether the versions of two responses are one. A chunked response does not say how many bytes there are."""
    (which, _, size), (now, _, size_now) = first.rpartition(":"), later.rpartition(":")
    return which == now and (size == size_now or not (size and size_now))
