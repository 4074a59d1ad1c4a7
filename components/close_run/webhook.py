"""Tells a chat room, or a service, how a pipeline run ended.

The address usually holds a key (Slack's incoming webhooks do), so it comes from a Secret, by the environment, and is
never logged; neither is what the other side answers, for it may repeat it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal

import requests

from ferkit.addresses import host_of

ADDRESS_VARIABLE: Final = "FERPIPE_WEBHOOK"
FORM_VARIABLE: Final = "FERPIPE_WEBHOOK_FORM"
"""`json` (the outcome as it is) or `slack`; without it, `slack` for Slack's own addresses and `json` for others."""

Form = Literal["json", "slack"]

PATIENCE: Final = 10.0
"""Seconds to connect, and to wait for an answer."""

LOG = logging.getLogger("ferpipe")


def form_of(address: str, configured: str) -> Form:
    """The form that is configured, else the one that the address takes."""
    if configured:
        return "slack" if configured == "slack" else "json"
    return "slack" if host_of(address).partition(":")[0] == "hooks.slack.com" else "json"


def post_outcome(address: str, outcome: Mapping[str, Any], form: Form = "json") -> None:
    """Posts the outcome to a webhook. A webhook that fails never fails the run: it is warned about, in one line.

    Args:
        address: https://… of the webhook.
        outcome: JSON types: `status`, `run`, `pipeline_run`, `verdict`, `failure`; empty where there is none.
        form: `json` posts the outcome as it is; `slack` as a message, which Mattermost shows too.
    """
    body = dict(outcome) if form == "json" else {"text": message(outcome)}
    # At DEBUG, urllib3 logs the path that it posts to, which is the key.
    chatter = logging.getLogger("urllib3")
    before = chatter.level
    chatter.setLevel(logging.ERROR)
    try:
        # A redirect would hand the outcome to a place that nobody chose.
        answer = requests.post(address, json=body, timeout=PATIENCE, allow_redirects=False)
    except (requests.RequestException, ValueError) as error:
        # Only the kind of failure: what requests says of it repeats the address.
        LOG.warning("webhook: not delivered (%s); check the address in the Secret", type(error).__name__)
        return
    finally:
        chatter.setLevel(before)
    if not 200 <= answer.status_code < 300:
        LOG.warning("webhook: not delivered (it answered %d); check the address in the Secret", answer.status_code)


def message(outcome: Mapping[str, Any]) -> str:
    """The outcome in Slack's markup: the status first, then one line per item.

    >>> print(message({"status": "FINISHED", "run": "1f", "failure": "a < b"}))
    *facial-expression FINISHED*
    run: 1f
    failure: a &lt; b
    """
    lines = [f"*facial-expression {_escaped(outcome.get('status', 'ended'))}*"]
    lines += [
        f"{name}: {_escaped(value)}" for name, value in outcome.items() if name != "status" and value not in ("", None)
    ]
    return "\n".join(lines)


def _escaped(value: object) -> str:
    """Slack takes three characters for its own."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
