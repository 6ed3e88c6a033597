"""Who is at the other end, as far as it can be known: the key by which requests are counted."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from starlette.datastructures import Headers
from starlette.types import Scope

Address: TypeAlias = IPv4Address | IPv6Address

SITE_PREFIX = 64  # bits of an IPv6 address that one subscriber has to himself (RFC 6177)


class Peers:
    """Tells peers apart by the address of the socket, or by what trusted proxies say of it.

    `X-Forwarded-For` is a list to which each proxy adds the address that it was called from. It is
    read from its end, as long as trusted proxies wrote it; the rest may be a lie of the client.
    """

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._proxies = [ip_network(network, strict=False) for network in trusted_proxies]

    def of(self, scope: Scope) -> str:
        """The peer of a request: an address, or the network of a site."""
        host = scope["client"][0] if scope.get("client") else ""
        address = _address(host)
        if address is None:
            return host
        claims = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        while claims and self._is_proxy(address) and (claimed := _address(claims.pop())):
            address = claimed
        return _site(address)

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)


def _address(text: str) -> Address | None:
    """An address, with a port or without; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _site(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), SITE_PREFIX), strict=False))
