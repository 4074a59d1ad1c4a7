"""Promotion and rollback, written into the ledger; the aliases and tags in the registry follow it (state.py).

Whoever changes anything first settles. So a promotion that was killed between its entry in the ledger and the alias is
completed by the next command that writes, whichever it is.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import mlflow

from ferkit.errors import UserError
from ferkit.registry import versions
from ferkit.registry.ledger import Entry, Ledger
from ferkit.registry.origins import pipeline_run_of
from ferkit.registry.rights import check_may_promote
from ferkit.registry.state import RegistryState, read_state, reconcile
from ferkit.registry.verdict import APPROVED, NO_CHAMPION, NOT_GATED
from ferkit.registry.versions import Version
from ferkit.tracking import names

USER_VARIABLE: Final = "FERPIPE_USER"


@dataclass(frozen=True)
class PromotionResult:
    """The outcome of a promotion or rollback.

    Attributes:
        champion: version that is champion now; with `dry_run`, that would be.
        changed: whether this call made it so; False for a repeated promotion and a dry run.
        sentence: for a person.
        entry: the ledger's entry; None where nothing was written.
    """

    champion: str
    changed: bool
    sentence: str
    entry: Entry | None = None

    def to_dict(self) -> dict[str, Any]:
        entry = self.entry.to_dict() if self.entry else None
        return {"champion": self.champion, "changed": self.changed, "sentence": self.sentence, "entry": entry}


def promote(
    client: mlflow.MlflowClient,
    version: str = "",
    *,
    model: str = names.REGISTERED_MODEL,
    by: str = "",
    force: bool = False,
    reason: str = "",
    dry_run: bool = False,
) -> PromotionResult:
    """Makes a version the champion. Doing so twice is doing so once.

    Args:
        client: of the MLflow that holds the versions.
        version: its number; empty for the challenger.
        model: the registered model it is of.
        by: who promotes; empty for `who()`.
        force: overrules the gate; asks for a reason.
        reason: kept in the ledger.
        dry_run: says what would happen, and changes nothing.

    Raises:
        UserError: the gate did not approve it, or against another champion; this user may not; or somebody else
            promoted a moment before.
    """
    if force and not reason:
        raise UserError("--force: say why with --reason; it is kept in the record of promotions")
    state, user = _state(client, model, dry_run)
    chosen = versions.version_of(client, version, model) if version else _next_champion(client, model, state)
    if chosen.number == state.champion:
        return PromotionResult(chosen.number, False, f"version {chosen.number} is the champion already{_since(state)}")
    if not force:
        _check_approved(chosen, state)
    entry = _entry(state, "promote", chosen, pipeline_run_of(client, chosen), by or who(user), reason, force)
    sentence = f"version {chosen.number} is champion{_instead_of(state.champion)}"
    if dry_run:
        return PromotionResult(chosen.number, False, f"dry run: {sentence}")
    held = Ledger(client, model).claim(entry)
    if held.claim != entry.claim:
        raise UserError(
            f"version {held.version} was made champion by {held.by} at {held.at}, a moment before this; "
            f"gate version {chosen.number} against it: `ferpipe gate {chosen.number}`"
        )
    reconcile(client, model)
    return PromotionResult(chosen.number, True, sentence, entry)


def roll_back(
    client: mlflow.MlflowClient,
    *,
    model: str = names.REGISTERED_MODEL,
    by: str = "",
    reason: str = "",
    dry_run: bool = False,
) -> PromotionResult:
    """Makes the champion before this one the champion again; done twice, the one before that.

    Versions that were deleted from the registry since are passed over.

    Raises:
        UserError: there is none to go back to; this user may not; or somebody else promoted or rolled back a moment
            before.
    """
    state, user = _state(client, model, dry_run)
    if state.champion is None:
        raise UserError("there is no champion yet, so nothing to go back from; see `ferpipe promote --help`")
    existing = {version.number: version for version in versions.versions(client, model=model)}
    earlier = [version for version in line_of_champions(state.entries)[:-1] if version in existing]
    if not earlier:
        raise UserError(
            f"version {state.champion} is the first champion on record: there is none to go back to; "
            "promote another with `ferpipe promote VERSION`"
        )
    chosen = existing[earlier[-1]]
    sentence = f"version {chosen.number} is champion again{_instead_of(state.champion)}"
    if dry_run:
        return PromotionResult(chosen.number, False, f"dry run: {sentence}")
    entry = _entry(state, "rollback", chosen, pipeline_run_of(client, chosen), by or who(user), reason, forced=False)
    held = Ledger(client, model).claim(entry)
    if held.claim != entry.claim:
        raise UserError(
            f"version {held.version} was made champion ({held.action}) by {held.by} at {held.at}, a moment "
            "before this; look at `ferpipe history` before going back further"
        )
    reconcile(client, model)
    return PromotionResult(chosen.number, True, sentence, entry)


def _state(client: mlflow.MlflowClient, model: str, dry_run: bool) -> tuple[RegistryState, str]:
    """Who is what, put right where this call is going to write; and the server's name for who calls, empty for none."""
    if dry_run:
        return read_state(client, model), ""
    user = check_may_promote(client, model)
    return reconcile(client, model), user


def line_of_champions(entries: Sequence[Entry]) -> list[str]:
    """The champions one can go back to, oldest first, today's last. A promotion adds one, a rollback takes away.

    >>> from ferkit.registry.ledger import Entry
    >>> line = [("promote", "1", ""), ("promote", "2", "1"), ("promote", "3", "2"), ("rollback", "2", "3")]
    >>> line_of_champions([Entry(n, *entry, by="ann", at="") for n, entry in enumerate(line, 1)])
    ['1', '2']
    """
    line: list[str] = []
    for entry in entries:
        if not line and entry.previous:  # a champion from before the ledger
            line.append(entry.previous)
        if entry.action == "promote":
            line.append(entry.version)
        else:
            del line[-1:]
            while line and line[-1] != entry.version:
                line.pop()
            line = line or [entry.version]
    return line


def _next_champion(client: mlflow.MlflowClient, model: str, state: RegistryState) -> Version:
    """The challenger; where there is none, today's champion if it was the last one gated, so that a repeat is none."""
    if state.challenger:
        return versions.version_of(client, state.challenger, model)
    gated = [
        version
        for version in versions.versions(client, model=model)
        if version.tags.get(names.VALIDATION_STATUS, NOT_GATED) != NOT_GATED
    ]
    if not gated:
        raise UserError(
            "no version was gated yet; `ferpipe run` trains and gates one, `ferpipe gate VERSION` gates one"
        )
    last = gated[0]
    if last.number != state.champion:
        _check_approved(last, state)
    return last


def _check_approved(version: Version, state: RegistryState) -> None:
    """Refuses a version that the gate did not approve against today's champion."""
    number, tags = version.number, version.tags
    status = tags.get(names.VALIDATION_STATUS, NOT_GATED)
    if status == NOT_GATED:
        raise UserError(
            f"version {number} has no verdict: the gate judges one candidate a run; gate this one with "
            f"`ferpipe gate {number}`"
        )
    if status != APPROVED:
        raise UserError(
            f"version {number} was {status} ({tags.get(names.VALIDATION_REASONS, 'no reason recorded')}); "
            "`--force --reason WHY` overrules that"
        )
    compared_with = tags.get(names.COMPARED_WITH, NO_CHAMPION)
    if compared_with != state.compared_with:
        raise UserError(
            f"version {number} was approved against {_named(compared_with)}, but the champion is "
            f"{_named(state.compared_with)} now; gate it again with `ferpipe gate {number}`"
        )


def _named(compared_with: str) -> str:
    return "no champion" if compared_with == NO_CHAMPION else f"version {compared_with}"


def _entry(
    state: RegistryState,
    action: Literal["promote", "rollback"],
    chosen: Version,
    pipeline_run: str,
    by: str,
    reason: str,
    forced: bool,
) -> Entry:
    return Entry(
        number=len(state.entries) + 1,
        action=action,
        version=chosen.number,
        previous=state.champion or "",
        by=by,
        at=now(),
        pipeline_run=pipeline_run,
        reason=reason,
        forced=forced,
    )


def _since(state: RegistryState) -> str:
    last = state.entries[-1] if state.entries else None
    return f", made so by {last.by} at {last.at}" if last else ""


def _instead_of(champion: str | None) -> str:
    return f" instead of version {champion}" if champion else ", the first one"


def who(user: str = "") -> str:
    """Who promotes: `FERPIPE_USER`, else the server's name for the user, else the name this process runs under."""
    try:
        return os.environ.get(USER_VARIABLE) or user or getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
