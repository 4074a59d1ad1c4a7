"""Addresses as they may be shown: without what gives access."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def without_secrets(address: str) -> str:
    """The address without user, password, query and fragment, for logs, parameters and tags.

    >>> without_secrets("https://ann:pw@host/fer.csv?X-Amz-Signature=1f")
    'https://host/fer.csv'
    """
    if "://" not in address or address.startswith("sample://"):
        return address
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
