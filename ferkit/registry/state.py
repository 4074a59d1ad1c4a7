"""Who is champion and who is challenger. The ledger decides; the aliases and tags in the registry follow it.

`read_state` reads and says where the registry lags behind the ledger: a promotion was killed half-way, or somebody
moved an alias by hand. `reconcile` puts that right, and is for commands that write anyway: whoever may only read an
MLflow server can still compare, and see the record.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Final

import mlflow

from ferkit.registry import versions
from ferkit.registry.ledger import Entry, Ledger
from ferkit.registry.rights import is_denied
from ferkit.registry.verdict import APPROVED, NO_CHAMPION
from ferkit.registry.versions import Version
from ferkit.tracking import names

ATTEMPTS: Final = 6
"""At following the ledger, while others do the same: about three seconds at most."""

PROMOTED_BY: Final = "promoted_by"
PROMOTED_AT: Final = "promoted_at"
PROMOTED_FROM: Final = "promoted_from"
PREVIOUS_CHAMPION: Final = "previous_champion"


@dataclass(frozen=True)
class RegistryState:
    """Who is what, by the ledger.

    Attributes:
        champion: version; None before the first promotion. By the ledger; by the alias while that is empty.
        challenger: version that is approved to take the champion's place; None when there is none.
        entries: the ledger, oldest first.
        notes: where the registry did not agree with the ledger, a sentence each: what was put right (`reconcile`), or
            what lags behind (`read_state`).
    """

    champion: str | None
    challenger: str | None
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @property
    def compared_with(self) -> str:
        """What a verdict that still holds was `compared_with`."""
        return self.champion or NO_CHAMPION


def read_state(client: mlflow.MlflowClient, model: str = names.REGISTERED_MODEL) -> RegistryState:
    """Who is what; writes nothing.

    Raises:
        UserError: nothing was ever registered.
    """
    aliases, entries = versions.aliases(client, model), Ledger(client, model).entries()
    notes: list[str] = []
    if entries:
        version = versions.find_version(client, entries[-1].version, model)
        if version is not None and _is_behind(version, entries[-1], aliases.get(names.CHAMPION)):
            notes.append(_say_behind(entries[-1], aliases.get(names.CHAMPION)))
    champion = entries[-1].version if entries else aliases.get(names.CHAMPION)
    challenger, stale = _challenger(client, model, aliases, champion)
    if stale and stale != champion:
        notes.append(f"{_say_stale(stale)}; `ferpipe repair` takes the alias down")
    return RegistryState(champion, challenger, tuple(entries), tuple(notes))


def reconcile(client: mlflow.MlflowClient, model: str = names.REGISTERED_MODEL) -> RegistryState:
    """Puts aliases and tags where the ledger says, and returns who is what.

    Aliases are read before the ledger and the ledger again after every write, so that whoever is overtaken by a later
    promotion corrects its own alias.

    Raises:
        UserError: nothing was ever registered.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _reconcile(client, model)
        except mlflow.MlflowException as error:
            # MLflow sets a tag or an alias by looking for the row and then inserting it: of two processes that complete
            # the same promotion at once, one is told that the row is there already.
            if attempt == ATTEMPTS - 1 or is_denied(error):
                raise
            time.sleep(random.uniform(0, 0.1 * 2**attempt))
    raise AssertionError


def _reconcile(client: mlflow.MlflowClient, model: str) -> RegistryState:
    ledger = Ledger(client, model)
    notes: list[str] = []
    while True:
        aliases = versions.aliases(client, model)
        entries = ledger.entries()
        if not entries or not _follow(client, model, entries[-1], aliases.get(names.CHAMPION)):
            break
        notes.append(_say_followed(entries[-1], aliases.get(names.CHAMPION)))
    champion = entries[-1].version if entries else aliases.get(names.CHAMPION)
    challenger, stale = _challenger(client, model, aliases, champion)
    if stale:
        taken_down = _take_down_challenger(client, model)
        if stale != champion:
            how = "alias taken down" if taken_down else "the alias stays, for want of the right to delete it (MANAGE)"
            notes.append(f"{_say_stale(stale)}; {how}")
    return RegistryState(champion, challenger, tuple(entries), tuple(notes))


def _challenger(
    client: mlflow.MlflowClient, model: str, aliases: dict[str, str], champion: str | None
) -> tuple[str | None, str | None]:
    """The version that may take the champion's place, and the version at which a stale alias `challenger` is."""
    number = aliases.get(names.CHALLENGER)
    if number is None:
        return None, None
    version = versions.find_version(client, number, model)
    return (number, None) if version and _may_replace(version, champion) else (None, number)


def _may_replace(version: Version, champion: str | None) -> bool:
    """Whether the gate approved the version against the champion of today."""
    tags = version.tags
    return (
        tags.get(names.VALIDATION_STATUS) == APPROVED
        and tags.get(names.COMPARED_WITH) == (champion or NO_CHAMPION)
        and version.number != champion
    )


def _take_down_challenger(client: mlflow.MlflowClient, model: str) -> bool:
    """Whether it could be: a server with users lets only those delete an alias who may manage the model.

    `promote` takes no notice of a stale alias, so a training that may not delete it need not fail for it.
    """
    try:
        client.delete_registered_model_alias(model, names.CHALLENGER)
    except mlflow.MlflowException as error:
        if not is_denied(error):
            raise
        return False
    return True


def _is_behind(version: Version, last: Entry, alias: str | None) -> bool:
    return alias != last.version or _lacks_tags(version, last)


def _lacks_tags(version: Version, last: Entry) -> bool:
    return any(version.tags.get(name) != value for name, value in _tags(last).items())


def _follow(client: mlflow.MlflowClient, model: str, last: Entry, alias: str | None) -> bool:
    """Makes alias and tags follow the ledger's last entry; whether they were behind."""
    version = versions.find_version(client, last.version, model)
    if version is None:  # deleted since: there is nothing left that an alias could point to
        return False
    if not _is_behind(version, last, alias):
        return False
    if alias != last.version:
        client.set_registered_model_alias(model, names.CHAMPION, last.version)
    if _lacks_tags(version, last):
        versions.set_tags(client, version, _tags(last))
    return True


def _tags(entry: Entry) -> dict[str, str]:
    """What an entry says on its version; the rest is in the record."""
    tags = {
        PROMOTED_BY: entry.by,
        PROMOTED_AT: entry.at,
        PROMOTED_FROM: entry.pipeline_run,
        PREVIOUS_CHAMPION: entry.previous or NO_CHAMPION,
    }
    return {name: value for name, value in tags.items() if value}


def _since(last: Entry) -> str:
    return f"champion since promotion {last.number} by {last.by} at {last.at}"


def _place(alias: str | None) -> str:
    return f"at version {alias}" if alias else "unset"


def _say_followed(last: Entry, alias: str | None) -> str:
    """What `_follow` put right."""
    if alias == last.version:
        return f"the tags of version {last.version}, {_since(last)}, were incomplete; completed"
    return f"alias {names.CHAMPION} was {_place(alias)}; set to version {last.version}, {_since(last)}"


def _say_behind(last: Entry, alias: str | None) -> str:
    """What `read_state` found."""
    cure = "`ferpipe repair` puts that right"
    if alias == last.version:
        return f"the tags of version {last.version}, {_since(last)}, are incomplete; {cure}"
    return f"alias {names.CHAMPION} is {_place(alias)}, but version {last.version} is {_since(last)}; {cure}"


def _say_stale(challenger: str) -> str:
    return f"challenger version {challenger} was not judged against today's champion"
