"""What an error of MLflow's, or of what lies behind it, means: one classification, and one sentence with the cure."""

from __future__ import annotations

import re
from enum import Enum

from ferkit.addresses import without_secrets
from ferkit.errors import MISSING
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
    """It answers that what was asked is wrong."""


_STATUS = re.compile(r"(?:error code |too many )(\d{3})\b")
_REFUSED_CODES = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")
_BUSY_CODES = ("TEMPORARILY_UNAVAILABLE", "DEADLINE_EXCEEDED", "REQUEST_LIMIT_EXCEEDED")
_NO_ANSWER = re.compile(
    r"failed with exception|Max retries exceeded|[Cc]onnection (refused|reset|aborted|broken)|timed? ?out|"
    r"unable to open database|database is locked|could not connect to server|server closed the connection|"
    r"OperationalError"
)
_TRASH = re.compile(r"(?:must be in the 'active' state|in (?:the )?'?deleted'? (?:state|lifecycle))", re.IGNORECASE)
_ID = re.compile(r"\b[0-9a-f]{32}\b")


def classify(error: BaseException) -> StoreError:
    """What kind of error this is; it needs no MLflow to be imported.

    Args:
        error: what MLflow's client, or its database, raised.
    """
    code, said = str(getattr(error, "error_code", "")), str(error)
    status = _STATUS.search(said)
    if _TRASH.search(said):
        return StoreError.DELETED
    if code in MISSING:
        return StoreError.MISSING
    if code in _REFUSED_CODES or (status and status[1] in ("401", "403")):
        return StoreError.REFUSED
    if isinstance(error, OSError) or code in _BUSY_CODES or (status and (status[1] == "429" or status[1][0] == "5")):
        return StoreError.OUT_OF_REACH
    return StoreError.OUT_OF_REACH if _NO_ANSWER.search(said) else StoreError.OTHER


def explain(error: BaseException, address: str) -> str:
    """One sentence for a person: what the store at `address` did, and what to do.

    Args:
        error: as for `classify`.
        address: of MLflow; secrets in it are not repeated.
    """
    said = " ".join(str(error).split())
    where = f"MLflow at {shown(without_secrets(address))}" if address else "MLflow"
    match classify(error):
        case StoreError.OUT_OF_REACH:
            return (
                f"{where} does not answer ({_reason(said)}); start it, or give another address with --tracking-uri or "
                "MLFLOW_TRACKING_URI (`ferpipe doctor` looks at it)"
            )
        case StoreError.REFUSED:
            return (
                f"{where} refuses ({shown(said[-200:])}); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
                "or ask who runs it for the right"
            )
        case StoreError.DELETED:
            found = _ID.search(said)
            run = found[0] if found else "RUN_ID"
            return f"{where}: run {run} is in the trash; `mlflow runs restore --run-id {run}` brings it back"
        case _:
            return f"{where}: {shown(said[:500])}"


def _reason(said: str) -> str:
    """The part of a client's long complaint that tells what happened."""
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
