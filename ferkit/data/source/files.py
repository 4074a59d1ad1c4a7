"""Where a CSV can lie: each kind of place opens it as a stream of bytes and says which version of it is there."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast
from urllib.parse import parse_qsl

from ferkit.addresses import split_member, with_secrets, without_secrets
from ferkit.errors import UserError, nearest
from ferkit.user_input import shown

PLACES: Final = "a path, s3://bucket/key, gs://bucket/key, http(s)://..., or `sample`"


class Source(Protocol):
    """A file somewhere.

    Attributes:
        address: what people see of it, in sentences and records: without keys and signatures.
        kind: `sample` for faces that this project draws, else `csv`.
        name: the last part of the address.
        member: the file of an archive that is named behind a `#`; empty where the archive's header lines decide.
        pins: whether `open(version)` reads that version or refuses; if not, compare `version()` after reading.
    """

    address: str
    kind: str
    name: str
    member: str
    pins: bool

    def version(self, sha256: str = "") -> str:
        """What changes when the file's bytes change. Reads as little place allows.

        Args:
            sha256: of those bytes, hexadecimal, where all of them have just been read; spares reading them again.
        """
        ...

    def open(self, version: str = "") -> BinaryIO:
        """The file's bytes as they lie, seekable; of that version where one is named and the place keeps several."""
        ...


def find_source(csv: str) -> Source:
    """The file at an address.

    Args:
        csv: a path, `s3://bucket/key`, `gs://bucket/key`, `http(s)://...`, or a drawn one: `sample`,
            `sample://?faces=5000&seed=0`.
            Secrets in it may be left out, if the environment has it (`WHOLE_ADDRESS`).
            Behind an archive's, `#` and a file in it: `faces.zip#fer2013.csv`.

    Raises:
        UserError: no such kind of address.
    """
    csv = with_secrets(csv)
    if not csv.strip():
        raise UserError(f"the address of the CSV is empty; use {PLACES}")
    seen = shown(without_secrets(csv))
    if not csv.isprintable():
        raise UserError(f"{seen}: an address has no line breaks or control characters, and is UTF-8; rename the file")
    scheme, separator, rest = csv.partition("://")
    scheme = scheme.lower()
    if csv == "sample" or (separator and scheme == "sample"):
        return Sample(csv)
    if not separator:
        return LocalFile(csv)
    if scheme == "file" and rest:
        return LocalFile(rest)
    if scheme == "s3":
        from ferkit.data.source.s3 import S3Object  # boto3 takes 0.2 s to import

        return S3Object(csv)
    if scheme == "gs":
        from ferkit.data.source.gcs import GcsObject

        return GcsObject(csv)
    if scheme in ("http", "https"):
        from ferkit.data.source.http import HttpFile

        return HttpFile(csv)
    raise UserError(f"{seen}: no way to read {shown(scheme)}://; use {PLACES}")


class LocalFile:
    """A file on this machine."""

    kind = "csv"
    pins = False

    def __init__(self, path: str) -> None:
        self.address, self.member = _split_off_member(path)
        self.name = Path(self.address).name

    def version(self, sha256: str = "") -> str:
        """`sha256:` of the file as it lies."""
        if not sha256:
            with self.open() as file:
                sha256 = hashlib.file_digest(cast(BufferedIOBase, file), "sha256").hexdigest()
        return f"sha256:{sha256}"

    def open(self, version: str = "") -> BinaryIO:
        """The file.

        Raises:
            UserError: there is none that can be read.
        """
        path = Path(self.address).expanduser()
        try:
            file = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115  (it is returned)
            if file.seekable():
                return file
            file.close()
            raise UserError(f"{path}: is no file but a pipe or a device, which cannot be read twice; use a file")
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; use the path of a CSV, or `sample` for a drawn one") from None
        except IsADirectoryError:
            raise UserError(f"{path}: is a folder; use the CSV in it") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def _split_off_member(path: str) -> tuple[str, str]:
    """A path, and the archive's member behind `#`: of a file whose own name has a `#` in it, that name goes first."""
    at = len(path)
    while at > 0:
        if Path(path[:at]).expanduser().exists():
            return path[:at], path[at + 1 :]
        at = path.rfind("#", 0, at)
    return split_member(path)


def _open_at_once(path: str, flags: int) -> int:
    """Opens without waiting for whoever writes into a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


class Sample:
    """The drawn sample: no file at all until it is opened."""

    kind = "sample"
    pins = True
    member = ""

    DEFAULTS = {"faces": 5000, "seed": 0}  # noqa: RUF012

    def __init__(self, csv: str) -> None:
        asked = dict(parse_qsl(csv.partition("?")[2], keep_blank_values=True))
        numbers = dict(self.DEFAULTS)
        for key, value in asked.items():
            if key not in numbers:
                raise UserError(f"{csv}: the sample has no `{key}`; {nearest(key, numbers)}")
            if not re.fullmatch("[0-9]{1,9}", value):
                raise UserError(f"{csv}: `{key}` is a whole number below 1,000,000,000 (received {value[:40]!r})")
            numbers[key] = int(value)
        self.faces, self.seed = numbers["faces"], numbers["seed"]
        self.address = f"sample://?faces={self.faces}&seed={self.seed}"
        self.name = "sample.csv"

    def version(self, sha256: str = "") -> str:
        """The address: the drawing is the same on every machine, and changes with the code only."""
        return f"sample:faces={self.faces}:seed={self.seed}"

    def open(self, version: str = "") -> BinaryIO:
        """Draws it, and forgets it when closed."""
        from ferkit.data.sample import draw_csv

        with tempfile.TemporaryDirectory(prefix="ferpipe-sample-") as folder:
            path = Path(folder) / self.name
            draw_csv(path, self.faces, self.seed)
            return path.open("rb", buffering=0)  # stays readable when its name is gone
