"""Which proxies are believed about where a request comes from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TypeAlias

IpAddress: TypeAlias = IPv4Address | IPv6Address

LOCAL_SOCKET = "unix"
"""Among the trusted: whoever connects through a Unix socket."""
_MAPPED_BITS = 96


class TrustedProxies:
    """Proxies whose word counts.

    Args:
        names: addresses, networks (`10.0.0.0/8`), or `unix`.

    Raises:
        ValueError: one is none of these, or holds every address there is; the message names it.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        chosen = tuple(names)
        self.local_socket = LOCAL_SOCKET in chosen
        networks = [_network(name) for name in chosen if name != LOCAL_SOCKET]
        self._four = tuple(one for one in networks if isinstance(one, IPv4Network))
        self._six = tuple(one for one in networks if isinstance(one, IPv6Network))
        self.holds = lru_cache(maxsize=4096)(self._holds)

    def __bool__(self) -> bool:
        return self.local_socket or bool(self._four or self._six)

    def _holds(self, address: IpAddress) -> bool:
        if isinstance(address, IPv4Address):
            return any(address in network for network in self._four)
        return any(address in network for network in self._six)


NOBODY = TrustedProxies()


def unmapped(address: IpAddress) -> IpAddress:
    """An IPv4 address that is written as an IPv6 one (`::ffff:192.0.2.1`) as what it is."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _network(name: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(name, strict=False)
    except ValueError:
        raise ValueError(
            f"{name[:60]!r} is no address, no network such as 10.0.0.0/8, and not {LOCAL_SOCKET!r}"
        ) from None
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        first = unmapped(network.network_address)
        if isinstance(first, IPv4Address):
            network = IPv4Network((first, network.prefixlen - _MAPPED_BITS))
    if network.prefixlen == 0:
        raise ValueError(f"{name!r} would believe everybody: name the proxies")
    return network
