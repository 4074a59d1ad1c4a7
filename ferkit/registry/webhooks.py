"""Webhooks of MLflow itself, by which a server tells other services that the champion has changed.

The server fires them, so a store without one (SQLite) has none. MLflow has one event for all aliases of all registered
models, `model_version_alias.created`: the receiver looks whether `data.alias` is `champion`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import mlflow
from mlflow.entities.webhook import Webhook as MlflowWebhook

from ferkit.addresses import host_of, split_address
from ferkit.errors import UserError, nearest
from ferkit.registry.rights import is_denied
from ferkit.tracking.paging import pages

EVENT: Final = "model_version_alias.created"
"""Fired whenever an alias is set, whether or not it was there before."""


@dataclass(frozen=True)
class Webhook:
    """A webhook for a champion's change.

    Attributes:
        name: unique among ours.
        address: where the server posts to, cut after the host: in a webhook's path there is often a key.
        state: `ACTIVE` or `DISABLED`.
        id: MLflow's.
    """

    name: str
    address: str
    state: str
    id: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def _webhook(found: MlflowWebhook) -> Webhook:
    return Webhook(found.name, cut_after_host(found.url), str(found.status), found.webhook_id)


def cut_after_host(address: str) -> str:
    """The address as it may be shown.

    >>> cut_after_host("https://ann:pw@ci.example:8443/hooks/1f?key=2")
    'https://ci.example:8443/…'
    """
    return f"{address.partition('://')[0]}://{host_of(address)}/…"


def list_webhooks(client: mlflow.MlflowClient) -> list[Webhook]:
    """Those that are notified when an alias is set, by name.

    Raises:
        UserError: this MLflow is no server, or its webhooks are not for this user to see.
    """
    found = (webhook for page in pages(_call, client, client.list_webhooks) for webhook in page)
    ours = [webhook for webhook in found if EVENT in map(str, webhook.events)]
    return sorted(map(_webhook, ours), key=lambda webhook: webhook.name)


def add_webhook(client: mlflow.MlflowClient, name: str, address: str, secret: str) -> Webhook:
    """Has the server post every alias that is set.

    Args:
        client: of a server.
        name: letters, digits, dots, underscores and hyphens, 63 at most.
        address: https://… that the server reaches; MLflow refuses private ones unless told otherwise.
        secret: signs what is posted (HMAC-SHA256); empty for no signature.

    Raises:
        UserError: there is one of that name, or the server does not take the address.
    """
    if name in [webhook.name for webhook in list_webhooks(client)]:
        raise UserError(
            f"there is a webhook {name} already; remove it with `ferpipe webhook remove {name}`, or take another name"
        )
    if not address.startswith(("http://", "https://")):
        raise UserError(f"{cut_after_host(address)}: a webhook's address begins with https://")
    split_address(address)
    return _webhook(_call(client, client.create_webhook, name, address, [EVENT], secret=secret or None))


def try_webhook(client: mlflow.MlflowClient, name: str) -> int:
    """Has the server post an example; the status with which it was answered.

    Raises:
        UserError: there is no such webhook, nobody answered, or with an error.
    """
    webhook = find_webhook(client, name)
    result = _call(client, client.test_webhook, webhook.id, EVENT)
    if not result.success:
        # What the other side says, or requests of it, may repeat the address.
        said = f"it answered {result.response_status}" if result.response_status else _kind(result.error_message or "")
        raise UserError(f"webhook {name}: the server could not deliver to {webhook.address} ({said})")
    return int(result.response_status or 0)


def remove_webhook(client: mlflow.MlflowClient, name: str) -> Webhook:
    """Takes it away; the server stops posting.

    Raises:
        UserError: there is no such webhook.
    """
    webhook = find_webhook(client, name)
    _call(client, client.delete_webhook, webhook.id)
    return webhook


def find_webhook(client: mlflow.MlflowClient, name: str) -> Webhook:
    """The webhook of that name.

    Raises:
        UserError: there is none.
    """
    there = {webhook.name: webhook for webhook in list_webhooks(client)}
    if name not in there:
        known = nearest(name, there) if there else "there is none yet, see `ferpipe webhook add --help`"
        raise UserError(f"no webhook {name!r} for a champion's change; {known}")
    return there[name]


def _call(client: mlflow.MlflowClient, what: Any, *arguments: Any, **keywords: Any) -> Any:
    """Asks the server, and says in one sentence why it would not."""
    if not client.tracking_uri.startswith(("http://", "https://")):
        raise UserError(
            f"{client.tracking_uri}: MLflow's webhooks are fired by a server, and this store has none; use the "
            "address of one with --tracking-uri (docs/mlflow.md)"
        )
    try:
        return what(*arguments, **keywords)
    except mlflow.MlflowException as error:
        if is_denied(error):
            raise UserError(
                f"webhooks on {client.tracking_uri} are for administrators of that MLflow; ask one of them"
            ) from None
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise UserError(f"{client.tracking_uri} does not take this webhook: {_without_address(error)}") from None
        raise


def _without_address(error: mlflow.MlflowException) -> str:
    """MLflow's sentence; an address in it is cut."""
    return " ".join(cut_after_host(word.strip("'\"")) if "://" in word else word for word in error.message.split())


def _kind(message: str) -> str:
    """The kind of failure alone.

    >>> _kind("Failed to test webhook: ConnectTimeout(MaxRetryError('HTTPSConnectionPool(host=...'")
    'ConnectTimeout'
    """
    return message.rpartition("webhook: ")[2].partition("(")[0] or "no answer"
