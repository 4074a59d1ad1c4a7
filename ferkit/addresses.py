"""Addresses that people write: parsed, refused with a sentence where they are none, and shown without secrets."""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from ferkit.errors import UserError
from ferkit.user_input import shown

WHOLE_ADDRESS: Final = "FERPIPE_CSV"
"""Environment variable with the CSV's whole address, where that has a password or a signature in it.

Parameters, command lines and logs carry it without; who reads the CSV puts it together again. On Kubeflow it comes from
a Secret.
"""

_MEMBER = re.compile(r"(.*?\.(?:zip|tar|tar\.\w+|tgz))#(.+)", re.IGNORECASE | re.DOTALL)

_MEANT = re.compile(r"(https?)(:[^/]?//|:/[^/]/|:/?)", re.IGNORECASE)
"""Begins what is meant for a web address, and is none by a character too few or too many."""


def split_member(address: str) -> tuple[str, str]:
    """An archive's address and the file in it that is named behind `#`, if one is.

    >>> split_member("s3://faces/sets.zip#fer2013.csv"), split_member("s3://faces/set #2.csv")
    (('s3://faces/sets.zip', 'fer2013.csv'), ('s3://faces/set #2.csv', ''))
    """
    archive = _MEMBER.fullmatch(address)
    return (archive[1], archive[2]) if archive else (address, "")


def split_address(address: str) -> SplitResult:
    """The parts of an `http(s)://` address that names a server.

    Raises:
        UserError: it cannot be taken apart: brackets where no IPv6 address is, a port above 65,535, no server. The
            sentence shows nothing of a user, a password or a query.
    """
    cure = "write http(s)://server/path, or http(s)://server:port/path"
    seen = shown(without_secrets(address))[:200]
    try:
        parts = urlsplit(address)
    except ValueError:
        raise UserError(f"{seen}: brackets in an address are for IPv6 ([::1]); put the server's name there") from None
    try:
        port = parts.port
    except ValueError:
        raise UserError(f"{seen}: a port is a number from 1 to 65535; {cure}") from None
    if not parts.hostname or port == 0 or re.search(r"[\s<>{}|\\^`\"']", parts.netloc.rpartition("@")[2]):
        raise UserError(f"{seen}: names no server that can be asked; {cure}")
    return parts


def without_secrets(address: str) -> str:
    """The address without user, password and query, for logs, parameters and tags; whatever is no address stays.

    An archive's member behind `#` stays too. In `s3://`, `gs://` and `file://` addresses `?` and `#` are letters of a
    name.

    >>> without_secrets("https://ann:pw@host/fer.csv?X-Amz-Signature=1f")
    'https://host/fer.csv'
    >>> without_secrets("s3://faces/set #2?.csv"), without_secrets("https://host/sets.zip#fer2013.csv")
    ('s3://faces/set #2?.csv', 'https://host/sets.zip#fer2013.csv')
    """
    scheme, separator, rest = address.partition("://")
    if not separator and (meant := _MEANT.match(address)):
        scheme, separator, rest = *meant.groups(), address[meant.end() :]
    if not separator or scheme.lower() in ("sample", "s3", "gs", "file", "sqlite"):
        return address
    # By hand, for what is no address at all (brackets, spaces) may hold a password too.
    server, slash, path = rest.partition("/")
    host = server.rpartition("@")[2]
    # A password with a `/` in it, or a `/` before the user.
    if "@" in path and host == server and (not host or re.search(r":(?!\d+$)", host)):
        return without_secrets(f"{scheme}{separator}{rest.rpartition('@')[2]}")
    if re.search("[?#]", host):
        slash = path = ""
    member = split_member(re.sub(r"\?[^#]*", "", path))[1]
    host, path = (re.split("[?#]", part, maxsplit=1)[0] for part in (host, path))
    return f"{scheme}{separator}{host}{slash}{path}" + (f"#{member}" if member else "")


def with_secrets(address: str) -> str:
    """The whole address, where the environment has it; else the address as it is."""
    whole = os.environ.get(WHOLE_ADDRESS, "")
    return whole if whole and without_secrets(whole) == address else address


def host_of(address: str) -> str:
    """The server that an address names, with its port; empty where it names none. Raises nothing, whatever the text.

    >>> host_of("https://ann:pw@ci.example:8443/hooks/1f?key=2"), host_of("faces.csv")
    ('ci.example:8443', '')
    """
    return without_secrets(address).partition("://")[2].partition("/")[0]


def data_name(csv: str) -> str:
    """A short name for the data.

    >>> data_name("s3://faces/fer2013.csv.gz"), data_name("sample")
    ('fer2013', 'sample')
    """
    return PurePosixPath(without_secrets(csv).partition("?")[0]).name.partition(".")[0].rstrip(":") or "sample"


def split_bucket(address: str) -> tuple[str, str]:
    """Bucket and key of an address in an object store; the key is empty where there is none.

    >>> split_bucket("s3://faces/sets/fer2013.csv"), split_bucket("gs://faces")
    (('faces', 'sets/fer2013.csv'), ('faces', ''))
    """
    bucket, _, key = address.partition("://")[2].partition("/")
    return bucket, key


def run_address(tracking_uri: str, experiment_id: str, run_id: str) -> str:
    """A run's page in the MLflow UI: at the server's address, or where `ferpipe ui` serves a SQLite store."""
    return f"{ui_address(tracking_uri)}/#/experiments/{experiment_id}/runs/{run_id}?workflowType=machine_learning"


def version_address(tracking_uri: str, model: str, version: str) -> str:
    """A model version's page in the MLflow UI."""
    page = f"#/models/{quote(model, safe='')}/versions/{version}?workflowType=machine_learning"
    return f"{ui_address(tracking_uri)}/{page}"


def ui_address(tracking_uri: str) -> str:
    """Where the MLflow UI is: at the server's address, without user and password, or where `ferpipe ui` serves it.

    >>> ui_address("https://ann:pw@mlflow.example/"), ui_address("sqlite:///mlflow.db")
    ('https://mlflow.example', 'http://127.0.0.1:5000')
    """
    if tracking_uri.startswith("sqlite:"):
        return "http://127.0.0.1:5000"
    return without_secrets(tracking_uri).rstrip("/")
