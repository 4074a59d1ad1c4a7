"""Promotion and rollback. The ledger decides who is champion; the aliases and tags in the registry follow it.

Whoever changes anything, or only looks, first settles: puts the alias `champion` where the ledger says, and takes down
a `challenger` that was judged against another champion. So a promotion that was killed between its entry in the ledger
and the alias is completed by the next command, whatever it is.
"""

from __future__ import annotations

import getpass
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import mlflow

from components.bad_input import BadInput
from components.register import registry
from components.register.ledger import Entry, Ledger
from components.register.registry import MODEL, PARENT_RUN, Version
from components.register.verdict import APPROVED, NO_CHAMPION, NOT_GATED
from ferkit.tracking import names

ATTEMPTS: Final = 6
"""At following the ledger, while others do the same: about three seconds at most."""

USER_VARIABLE: Final = "FERPIPE_USER"

PROMOTED_BY: Final = "promoted_by"
PROMOTED_AT: Final = "promoted_at"
PROMOTED_FROM: Final = "promoted_from"
PREVIOUS_CHAMPION: Final = "previous_champion"
PROMOTION: Final = "promotion"
PROMOTION_REASON: Final = "promotion_reason"
ROLLED_BACK_BY: Final = "rolled_back_by"
ROLLED_BACK_AT: Final = "rolled_back_at"


@dataclass(frozen=True)
class Standing:
    """Who is what in the registry, once it agrees with the ledger.

    Attributes:
        champion: version; None before the first promotion. By the ledger; by the alias while that is empty.
        challenger: version that is approved to take the champion's place; None when there is none.
        entries: the ledger, oldest first.
        repaired: what had to be put right, a sentence each.
    """

    champion: str | None
    challenger: str | None
    entries: tuple[Entry, ...]
    repaired: tuple[str, ...] = ()

    @property
    def compared_with(self) -> str:
        """What a verdict that still holds was `compared_with`."""
        return self.champion or NO_CHAMPION


@dataclass(frozen=True)
class Outcome:
    """What a promotion or rollback came to.

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


def settle(client: mlflow.MlflowClient) -> Standing:
    """Puts aliases and tags where the ledger says, and returns who is what.

    Aliases are read before the ledger and the ledger again after every write, so that whoever is overtaken by a later
    promotion corrects its own alias.

    Raises:
        BadInput: nothing was ever registered.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _settle(client)
        except mlflow.MlflowException:
            # MLflow sets a tag or an alias by looking for the row and then inserting it: of two processes that complete
            # the same promotion at once, one is told that the row is there already.
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0, 0.1 * 2**attempt))
    raise AssertionError


def _settle(client: mlflow.MlflowClient) -> Standing:
    ledger = Ledger(client)
    repaired: list[str] = []
    while True:
        aliases = registry.aliases(client)
        entries = ledger.entries()
        if not entries or not _follow(client, entries[-1], aliases.get(names.CHAMPION)):
            break
        repaired.append(_behind(entries[-1], aliases.get(names.CHAMPION)))
    champion = entries[-1].version if entries else aliases.get(names.CHAMPION)
    challenger = aliases.get(names.CHALLENGER)
    judged = registry.find_version(client, challenger) if challenger else None
    if challenger and not (judged and _may_replace(judged, champion)):
        client.delete_registered_model_alias(MODEL, names.CHALLENGER)
        if challenger != champion:
            repaired.append(
                f"challenger version {challenger} was not judged against today's champion; alias taken down"
            )
        challenger = None
    return Standing(champion, challenger, tuple(entries), tuple(repaired))


def _follow(client: mlflow.MlflowClient, last: Entry, alias: str | None) -> bool:
    """Makes alias and tags follow the ledger's last entry; whether they were behind."""
    version = registry.find_version(client, last.version)
    if version is None:  # deleted since: there is nothing left that an alias could point to
        return False
    tagged = version.tags.get(PROMOTION) == str(last.number)
    if alias == last.version and tagged:
        return False
    if alias != last.version:
        client.set_registered_model_alias(MODEL, names.CHAMPION, last.version)
    if not tagged:
        if last.action == "rollback" and registry.find_version(client, last.previous):
            registry.set_tags(client, last.previous, {ROLLED_BACK_BY: last.by, ROLLED_BACK_AT: last.at})
        registry.set_tags(client, last.version, _tags(last))
    return True


def _behind(last: Entry, alias: str | None) -> str:
    """What `_follow` put right."""
    since = f"champion since promotion {last.number} by {last.by} at {last.at}"
    if alias == last.version:
        return f"the tags of version {last.version}, {since}, were incomplete; completed"
    was = f"at version {alias}" if alias else "unset"
    return f"alias {names.CHAMPION} was {was}; set to version {last.version}, {since}"


def _tags(entry: Entry) -> dict[str, str]:
    """What an entry says on its version. PROMOTION comes last: it says that the others are there."""
    tags = {
        PROMOTED_BY: entry.by,
        PROMOTED_AT: entry.at,
        PROMOTED_FROM: entry.pipeline_run,
        PREVIOUS_CHAMPION: entry.previous or NO_CHAMPION,
        PROMOTION_REASON: ("forced: " if entry.forced else "") + entry.reason,
        PROMOTION: str(entry.number),
    }
    return {name: value for name, value in tags.items() if value}


def _may_replace(version: Version, champion: str | None) -> bool:
    """Whether the gate approved the version against the champion of today."""
    tags = version.tags
    return (
        tags.get(names.VALIDATION_STATUS) == APPROVED
        and tags.get(names.COMPARED_WITH) == (champion or NO_CHAMPION)
        and version.number != champion
    )


def promote(
    client: mlflow.MlflowClient,
    version: str = "",
    *,
    by: str = "",
    force: bool = False,
    reason: str = "",
    dry_run: bool = False,
) -> Outcome:
    """Makes a version the champion. Doing so twice is doing so once.

    Args:
        client: of the MLflow that holds the registry.
        version: its number; empty for the challenger.
        by: who promotes; empty for `who()`.
        force: overrules the gate; asks for a reason.
        reason: kept in the ledger.
        dry_run: says what would happen, and changes nothing.

    Raises:
        BadInput: the gate did not approve it, or against another champion; or somebody else promoted a moment before.
    """
    if force and not reason:
        raise BadInput("--force: say why with --reason; it is kept in the record of promotions")
    standing = settle(client)
    chosen = registry.version_of(client, version) if version else _next_champion(client, standing)
    if chosen.number == standing.champion:
        return Outcome(chosen.number, False, f"version {chosen.number} is the champion already{_since(standing)}")
    if not force:
        _check_approved(chosen, standing)
    entry = _entry(standing, "promote", chosen, by, reason, force)
    sentence = f"version {chosen.number} is champion{_instead_of(standing.champion)}"
    if dry_run:
        return Outcome(chosen.number, False, f"dry run: {sentence}")
    held = Ledger(client).claim(entry)
    if held.claim != entry.claim:
        raise BadInput(
            f"version {held.version} was made champion by {held.by} at {held.at}, a moment before this; "
            f"gate version {chosen.number} against it: `ferpipe gate {chosen.number}`"
        )
    settle(client)
    return Outcome(chosen.number, True, sentence, entry)


def roll_back(client: mlflow.MlflowClient, *, by: str = "", reason: str = "", dry_run: bool = False) -> Outcome:
    """Makes the champion before this one the champion again; done twice, the one before that.

    Versions that were deleted from the registry since are passed over.

    Raises:
        BadInput: there is none to go back to; or somebody else promoted or rolled back a moment before.
    """
    standing = settle(client)
    if standing.champion is None:
        raise BadInput("there is no champion yet, so nothing to go back from; see `ferpipe promote --help`")
    existing = {version.number: version for version in registry.versions(client)}
    earlier = [version for version in line_of_champions(standing.entries)[:-1] if version in existing]
    if not earlier:
        raise BadInput(
            f"version {standing.champion} is the first champion on record: there is none to go back to; "
            "promote another with `ferpipe promote VERSION`"
        )
    chosen = existing[earlier[-1]]
    sentence = f"version {chosen.number} is champion again{_instead_of(standing.champion)}"
    if dry_run:
        return Outcome(chosen.number, False, f"dry run: {sentence}")
    entry = _entry(standing, "rollback", chosen, by, reason, forced=False)
    held = Ledger(client).claim(entry)
    if held.claim != entry.claim:
        raise BadInput(
            f"version {held.version} was made champion ({held.action}) by {held.by} at {held.at}, a moment "
            "before this; look at `ferpipe history` before going back further"
        )
    settle(client)
    return Outcome(chosen.number, True, sentence, entry)


def line_of_champions(entries: Sequence[Entry]) -> list[str]:
    """The champions one can go back to, oldest first, today's last. A promotion adds one, a rollback takes away.

    >>> from components.register.ledger import Entry
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


def _next_champion(client: mlflow.MlflowClient, standing: Standing) -> Version:
    """The challenger; where there is none, today's champion if it was the last one gated, so that a repeat is none."""
    if standing.challenger:
        return registry.version_of(client, standing.challenger)
    gated = [
        version
        for version in registry.versions(client)
        if version.tags.get(names.VALIDATION_STATUS, NOT_GATED) != NOT_GATED
    ]
    if not gated:
        raise BadInput("no version was gated yet; `ferpipe run` trains and gates one, `ferpipe gate VERSION` gates one")
    last = gated[0]
    if last.number != standing.champion:
        _check_approved(last, standing)
    return last


def _check_approved(version: Version, standing: Standing) -> None:
    """Refuses a version that the gate did not approve against today's champion."""
    number, tags = version.number, version.tags
    status = tags.get(names.VALIDATION_STATUS, NOT_GATED)
    if status == NOT_GATED:
        raise BadInput(
            f"version {number} has no verdict: the gate judges one candidate a run; gate this one with "
            f"`ferpipe gate {number}`"
        )
    if status != APPROVED:
        raise BadInput(
            f"version {number} was {status} ({tags.get(names.VALIDATION_REASONS, 'no reason recorded')}); "
            "`--force --reason WHY` overrules that"
        )
    compared_with = tags.get(names.COMPARED_WITH, NO_CHAMPION)
    if compared_with != standing.compared_with:
        raise BadInput(
            f"version {number} was approved against {_named(compared_with)}, but the champion is "
            f"{_named(standing.compared_with)} now; gate it again with `ferpipe gate {number}`"
        )


def _named(compared_with: str) -> str:
    return "no champion" if compared_with == NO_CHAMPION else f"version {compared_with}"


def _entry(
    standing: Standing, action: Literal["promote", "rollback"], chosen: Version, by: str, reason: str, forced: bool
) -> Entry:
    return Entry(
        number=len(standing.entries) + 1,
        action=action,
        version=chosen.number,
        previous=standing.champion or "",
        by=by or who(),
        at=now(),
        pipeline_run=chosen.tags.get(PARENT_RUN, ""),
        reason=reason,
        forced=forced,
    )


def _since(standing: Standing) -> str:
    last = standing.entries[-1] if standing.entries else None
    return f", made so by {last.by} at {last.at}" if last else ""


def _instead_of(champion: str | None) -> str:
    return f" instead of version {champion}" if champion else ", the first one"


def who() -> str:
    """Who promotes: `FERPIPE_USER`, else the name this process runs under."""
    try:
        return os.environ.get(USER_VARIABLE) or getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
