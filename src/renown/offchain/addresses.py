"""Which addresses are strangers' own. Pure; the answer of no library is taken for it.

`ipaddress.is_global` calls multicast, NAT64 of a metadata service and 6to4 of a private address
global, and `is_private` misses shared address space, so the lists here are ours. For IPv6 they
start from what is allowed: everything outside 2000::/3 is refused before any list is asked.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

# IANA's special-purpose registries (RFC 6890 and its updates), multicast, and class E.
_NOT_PUBLIC_4 = tuple(
    (int(network.network_address), int(network.broadcast_address))
    for network in map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' shared space; a cloud keeps its metadata here
            "127.0.0.0/8",
            "168.63.129.16/32",  # a public number, but Azure's host agent answers it
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # Teredo, ORCHID, benchmarks and other assignments of protocols
            "2001:db8::/32",
            "2002::/16",  # 6to4: an IPv4 address in disguise, retired by RFC 7526
            "3fff::/20",
        ),
    )
)
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_LOW_32 = 0xFFFF_FFFF


@lru_cache(maxsize=4096)
def is_public(text: str) -> bool:
    """Whether `text`, one IPv4 or IPv6 address, belongs to the public Internet.

    IPv4 inside IPv6 is judged as what it leads to: mapped and NAT64 addresses (RFC 6052) pass when
    the inner one does; ISATAP needs both to pass; 6to4, Teredo, IPv4-compatible and locally
    prefixed NAT64 addresses never pass. Nor do zones (`%eth0`) or anything that is no address.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public_4(int(address))
    return "%" not in text and _is_public_6(address)


def _is_public_4(number: int) -> bool:
    return not any(first <= number <= last for first, last in _NOT_PUBLIC_4)


def _is_public_6(address: IPv6Address) -> bool:
    number = int(address)
    if address in _MAPPED or address in _NAT64:
        return _is_public_4(number & _LOW_32)
    if address not in _GLOBAL_UNICAST_6 or any(address in network for network in _NOT_PUBLIC_6):
        return False
    if (number >> 32) & _LOW_32 in _ISATAP:
        return _is_public_4(number & _LOW_32)
    return True
