"""What people call a model, as an address of MLflow's; and the version that answers there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import mlflow

from ferkit.errors import UserError
from ferkit.registry.rights import is_denied
from ferkit.registry.state import read_state
from ferkit.registry.versions import Version, aliases, choose_model, find_version, our_models, version_of
from ferkit.tracking import names
from ferkit.tracking.reuse import model_address
from ferkit.tracking.short_ids import RUN_ID, whole_id, with_whole_id

_REGISTERED: Final = re.compile(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))")


def address_of(client: mlflow.MlflowClient, name: str) -> str:
    """The address of a model that a person named.

    Args:
        client: of the MLflow that holds it.
        name: an alias or a version's number (of the only registered model of ours), `NAME@ALIAS`, `NAME/NUMBER`, the
            name of a registered model of ours (for its champion), the id of the run that trained it (or its first 7
            characters), a folder, or any address that MLflow takes.

    Raises:
        UserError: an alias or a number, and several registered models have it, or none; or no run's id begins so.
    """
    if ":/" in name or Path(name).is_dir():
        return with_whole_id(client, name)
    if "@" in name or "/" in name:
        return f"models:/{name}"
    models = our_models(client)
    if name in models:
        return f"models:/{name}@{names.CHAMPION}"
    if RUN_ID.fullmatch(name):
        return model_address(client.get_run(whole_id(client, name)))
    if len(models) > 1:
        ways = [f"{model}{'/' if name.isdecimal() else '@'}{name}" for model in models if _has(client, model, name)]
        if not ways:
            cure = "; make one with `ferpipe promote`, or name a version" if name == names.CHAMPION else ""
            raise UserError(f"none of the registered models {', '.join(models)} has a version {name!r}{cure}")
        raise UserError(f"there are {len(models)} registered models; say which with --model: {', '.join(ways)}")
    model = choose_model(client)
    return f"models:/{model}/{name}" if name.isdecimal() else f"models:/{model}@{name}"


def _has(client: mlflow.MlflowClient, model: str, name: str) -> bool:
    return name in aliases(client, model) or (name.isdecimal() and find_version(client, name, model) is not None)


def version_at(client: mlflow.MlflowClient, address: str) -> Version | None:
    """The version that an address of a registered model leads to now; None for an address of anything else.

    Args:
        client: of the MLflow that holds it.
        address: as `address_of` returns it.

    Raises:
        UserError: there is no such model, or it has no such version.
    """
    registered = _REGISTERED.fullmatch(address)
    if not registered:
        return None
    model, alias, number = registered.groups()
    if alias == names.CHAMPION and alias not in aliases(client, model) and (notes := notes_at(client, address)):
        raise UserError(notes[0])
    return version_of(client, alias or number, model)


def notes_at(client: mlflow.MlflowClient, address: str) -> tuple[str, ...]:
    """Where `champion` or `challenger`, named by an address, does not agree with the record of promotions; sentences.

    Args:
        client: of the MLflow that holds it.
        address: as `address_of` returns it.
    """
    registered = _REGISTERED.fullmatch(address)
    if not registered or registered[2] not in (names.CHAMPION, names.CHALLENGER):
        return ()
    try:
        return read_state(client, registered[1]).notes
    except mlflow.MlflowException as error:
        if is_denied(error):  # whoever may load the model need not have the right to read the record
            return ()
        raise
