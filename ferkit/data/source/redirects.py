"""Where a web server may send us on to: not into a private network, unless we were sent there to begin with.

Else whoever may name a CSV, or answers for one, could have this machine, or a pod in a cluster, ask what only it
reaches: a cloud's metadata at 169.254.169.254, a service without a password.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

import requests

from ferkit.errors import UserError
from ferkit.user_input import shown


class Session(requests.Session):
    """As requests' own, which sends no password on to another host, with a look at every redirect before it."""

    def __init__(self, address: str) -> None:
        """Takes the address for sentences, without secrets."""
        super().__init__()
        self._address = address

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a response sends us on to; None for one that does not.

        Raises:
            UserError: into a private network, out of a public one.
        """
        target = super().get_redirect_target(resp)
        if target:
            here, there = (str(urlsplit(url).hostname) for url in (resp.url, urljoin(resp.url, target)))
            if is_private(there) and not is_private(here):
                resp.close()
                raise UserError(
                    f"{self._address}: the server sends on to {shown(there)}, which is in a private network, and is "
                    "not followed there; use that address itself if you trust it"
                )
        return target


def is_private(host: str) -> bool:
    """Whether a host has an address that is not the internet's: private, loopback, link-local, shared, reserved.

    One that this machine cannot resolve has none that it could reach, but through a proxy, which looks for itself.
    """
    return any(not _as_ip_4(ipaddress.ip_address(found)).is_global for found in addresses_of(host))


def addresses_of(host: str) -> list[str]:
    """The IP addresses of a host, as this machine resolves it; none where it does not."""
    try:
        return [str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(host, None)]
    except (OSError, UnicodeError):
        return []


def _as_ip_4(
    found: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv6 address that stands for an IPv4 one, as that."""
    return (found.version == 6 and found.ipv4_mapped) or found
