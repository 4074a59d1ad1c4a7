"""What an error of MLflow's, or of what lies behind it, means: one classification, and one sentence with the cure."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

from ferkit.addresses import without_secrets
from ferkit.errors import OutOfReach
from ferkit.user_input import shown


class StoreError(Enum):
    """What a store's error means for the person who meets it."""

    MISSING = "missing"
    """It has no such run, version, model or file."""
    DELETED = "deleted"
    """It is in MLflow's trash, from which it can be restored."""
    REFUSED = "refused"
    """It knows who asks, or not, and does not let them."""
    OUT_OF_REACH = "out of reach"
    """It does not answer, or not in time, or answers that it cannot now: another try may fare better."""
    OTHER = "other"
    """It answers that the request is wrong."""


_MISSING: Final = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND")
_SERVICES: Final = ("mlflow", "botocore", "boto3", "requests", "urllib3", "sqlalchemy")
_FILES: Final = ("botocore", "boto3", "requests")
"""Libraries that talk with the store of MLflow's files; MLflow's client lets their errors through."""
_STATUS = re.compile(r"(?:error code |too many )(\d{3})\b")
_REFUSED_CODES = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
_BUSY_CODES = ("TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED")
_NO_ANSWER = re.compile(
    r"failed with exception|Max retries exceeded|[Cc]onnection (refused|reset|aborted|broken)|timed? ?out|"
    r"unable to open database|database is locked|database or disk is full|could not connect to server|"
    r"server closed the connection|OperationalError"
)
_TRASH = re.compile(r"(?:must be in the 'active' state|in (?:the )?'?deleted'? (?:state|lifecycle))", re.IGNORECASE)
_TRASHED = re.compile(r"\b(?:(experiment) '?(\d+)|(run) '?([0-9a-f]{32}))\b", re.IGNORECASE)
_ENDPOINT = re.compile(r'Could not connect to the endpoint URL: "(\w+://[^/?"]+)')
"""botocore's words."""


def classify(error: BaseException) -> StoreError:
    """What kind of error this is; it needs no MLflow to be imported.

    Args:
        error: what MLflow's client, its database, or the client of its files (HTTP, S3) raised.
    """
    code, said, status = str(getattr(error, "error_code", "")), str(error), _status(error)
    if _TRASH.search(said):
        return StoreError.DELETED
    if code in _MISSING or (status == "404" and _is_from(error, "requests")):
        return StoreError.MISSING
    if code in _REFUSED_CODES or status in ("401", "403") or _is_a(error, "botocore", "NoCredentialsError"):
        return StoreError.REFUSED
    if isinstance(error, OSError | OutOfReach) or code in _BUSY_CODES or status == "429" or status.startswith("5"):
        return StoreError.OUT_OF_REACH
    unanswered = _NO_ANSWER.search(said) or _is_a(error, "botocore", "ConnectionError", "HTTPClientError")
    return StoreError.OUT_OF_REACH if unanswered else StoreError.OTHER


def is_out_of_reach(error: BaseException) -> bool:
    """Whether the fault lies with something that the work needs, not with the work: another try may fare better.

    True of `OutOfReach`, of every operating system's error (a lost connection, a full disk), and of what the libraries
    that talk with MLflow, its database and S3 raise; but not where MLflow answers that it has no such thing.
    """
    match classify(error):
        case StoreError.MISSING:
            return False
        case StoreError.OTHER:
            return _is_from(error, *_SERVICES)
        case _:
            return True


def is_of_a_store(error: BaseException) -> bool:
    """Whether MLflow raised it, or the library that talks with the store of its files."""
    return _is_from(error, "mlflow", *_FILES)


def _is_from(error: BaseException, *libraries: str) -> bool:
    return any(kind.__module__.partition(".")[0] in libraries for kind in type(error).__mro__)


def _is_a(error: BaseException, library: str, *names: str) -> bool:
    return any(kind.__module__.startswith(f"{library}.") and kind.__name__ in names for kind in type(error).__mro__)


def _status(error: BaseException) -> str:
    """The HTTP status that an error tells of; empty where it tells of none."""
    answer: Any = getattr(error, "response", None)
    if isinstance(answer, dict):  # botocore's
        return str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    if answer is not None:
        return str(getattr(answer, "status_code", ""))
    found = _STATUS.search(str(error))
    return found[1] if found else ""


def explain(error: BaseException, address: str) -> str:
    """One sentence for a person: what the store at `address` did, and what to do.

    Args:
        error: as for `classify`.
        address: of MLflow; secrets in it are not repeated.
    """
    said = " ".join(str(error).split())
    if "disk is full" in said:
        return f"{shown(without_secrets(address))}: the disk on which this store lies is full; make room there"
    where = f"MLflow at {shown(without_secrets(address))}" if address else "MLflow"
    if _is_from(error, *_FILES):
        return f"the store of files of {where} {_say_of_files(error, said)}"
    match classify(error):
        case StoreError.OUT_OF_REACH:
            return (
                f"{where} does not answer ({_reason(said)}); start it, or use another address with --tracking-uri or "
                "MLFLOW_TRACKING_URI (`ferpipe doctor` looks at it)"
            )
        case StoreError.REFUSED:
            return (
                f"{where} refuses ({shown(said[-200:])}); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
                "or ask who runs it for the right"
            )
        case StoreError.DELETED:
            found = _TRASHED.search(said)
            kind, name = [part for part in found.groups() if part] if found else ("run", "RUN_ID")
            return f"{where}: {in_the_trash(kind.lower(), name)}"
        case _:
            return f"{where}: {shown(said[:500])}"


def in_the_trash(kind: str, name: str) -> str:
    """What is said of something that was deleted.

    Args:
        kind: `run` or `experiment`.
        name: its id.
    """
    return f"{kind} {name} is in the trash; `mlflow {kind}s restore --{kind}-id {name}` brings it back"


def _say_of_files(error: BaseException, said: str) -> str:
    match classify(error):
        case StoreError.OUT_OF_REACH:
            return f"does not answer ({_reason(said)}); start it, or set MLFLOW_S3_ENDPOINT_URL, for S3, to where it is"
        case StoreError.REFUSED:
            return f"refuses ({shown(said[-200:])}); set its keys (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for S3)"
        case _:
            return f"says: {shown(said[:500])}"


def _reason(said: str) -> str:
    """The part of a client's long complaint that tells what happened."""
    if endpoint := _ENDPOINT.search(said):
        return f"nothing listens at {shown(without_secrets(endpoint[1]))}"
    for words, reason in (
        ("refused", "connection refused"),
        ("resolve", "no such host"),
        ("Name or service not known", "no such host"),
        ("timed out", "timed out"),
        ("database is locked", "the database is locked"),
        ("unable to open database", "its database cannot be opened"),
    ):
        if words in said:
            return reason
    status = _STATUS.search(said)
    return f"HTTP status {status[1]}" if status else shown(said[:200])
