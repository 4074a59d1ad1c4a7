"""Addresses as they may be shown: without what gives access."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit, urlunsplit

WHOLE_ADDRESS: Final = "FERPIPE_CSV"
"""Environment variable with the CSV's whole address, where that has a password or a signature in it.

Parameters, command lines and logs carry it without; who reads the CSV puts it together again. On Kubeflow it comes from
a Secret.
"""


def with_secrets(address: str) -> str:
    """The whole address, where the environment has it; else the address as it is."""
    whole = os.environ.get(WHOLE_ADDRESS, "")
    return whole if whole and without_secrets(whole) == address else address


def without_secrets(address: str) -> str:
    """The address without user, password, query and fragment, for logs, parameters and tags.

    >>> without_secrets("https://ann:pw@host/fer.csv?X-Amz-Signature=1f")
    'https://host/fer.csv'
    """
    if "://" not in address or address.startswith("sample://"):
        return address
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def run_address(tracking_uri: str, experiment_id: str, run_id: str) -> str:
    """A run's page in the MLflow UI: at the server's address, or where `ferpipe ui` serves a SQLite store."""
    return f"{ui_address(tracking_uri)}/#/experiments/{experiment_id}/runs/{run_id}"


def ui_address(tracking_uri: str) -> str:
    """Where the MLflow UI is: at the server's address, or where `ferpipe ui` serves it."""
    return "http://127.0.0.1:5000" if tracking_uri.startswith("sqlite:") else tracking_uri.rstrip("/")
