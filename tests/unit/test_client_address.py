"""D3: nobody but a trusted proxy says where a request comes from."""

from __future__ import annotations

import pytest
from starlette.types import Scope

from renown.api.access.client_address import (
    NOBODY,
    UNKNOWN,
    TrustedProxies,
    client_address,
)

PEER = "203.0.113.7"
PROXY, INNER = "10.0.0.1", "10.1.2.3"
TRUSTED = TrustedProxies(["10.0.0.0/8", "2001:db8:ffff::/48"])


def asked(peer: str | None, *lines: tuple[str, str]) -> Scope:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in lines]
    return {"type": "http", "client": (peer, 4711) if peer else None, "headers": headers}


def forwarded(peer: str | None, *values: str) -> Scope:
    return asked(peer, *(("X-Forwarded-For", value) for value in values))


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP"]
)
@pytest.mark.parametrize("trusted", [NOBODY, TRUSTED], ids=["nobody", "proxies"])
def test_client__an_untrusted_peer__is_believed_nothing(header: str, trusted: TrustedProxies):
    for spoofed in ("1.1.1.1", "for=1.1.1.1", PROXY):
        assert client_address(asked(PEER, (header, spoofed)), trusted) == PEER


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["9.9.9.9"], "9.9.9.9"),
        (["1.1.1.1, 9.9.9.9"], "9.9.9.9"),  # the left end is the client's own writing
        (["1.1.1.1", "9.9.9.9"], "9.9.9.9"),
        ([f"1.1.1.1, 9.9.9.9, {INNER}"], "9.9.9.9"),
        ([f"9.9.9.9,{INNER}", INNER], "9.9.9.9"),
        ([f"{INNER}, 9.9.9.9"], "9.9.9.9"),  # a spoofed address of ours does not help
        (["9.9.9.9:51234"], "9.9.9.9"),
        (["[2001:db8:1:2:3::4]:51234"], "2001:db8:1:2::/64"),
        (["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        (["::ffff:9.9.9.9"], "9.9.9.9"),
        (["9.9.9.9, ::ffff:10.1.2.3"], "9.9.9.9"),
        (["9.9.9.9\t, 2001:db8:ffff::1"], "9.9.9.9"),
        ([f"{INNER}"], INNER),  # all of them ours: the one furthest away
        ([], PROXY),
    ],
)
def test_client__behind_trusted_proxies__is_the_first_stranger_from_the_right(
    values: list[str], client: str
):
    assert client_address(forwarded(PROXY, *values), TRUSTED) == client


@pytest.mark.parametrize(
    "garbage",
    [
        "unknown",
        "",
        ",",
        "9.9.9",
        "9.9.9.9.9",
        "09.9.9.9",
        "256.1.1.1",
        "9.9.9.9:port",
        "9.9.9.9 1.1.1.1",
        "[9.9.9.9",
        "[]",
        ":::",
        "1" * 500,
        "2001:db8::1::2",
        "\xff\xfe",
        '"9.9.9.9"',
        "１.1.1.1".encode().decode("latin-1"),
    ],
)
def test_client__a_proxy_that_hands_on_garbage__counts_itself(garbage: str):
    assert client_address(forwarded(PROXY, garbage), TRUSTED) == PROXY
    assert client_address(forwarded(PROXY, f"9.9.9.9, {garbage}"), TRUSTED) == PROXY
    assert client_address(forwarded(PROXY, f"{garbage}, 9.9.9.9"), TRUSTED) == "9.9.9.9"


def test_client__forwarded_and_real_ip__are_not_read_even_from_a_trusted_proxy():
    scope = asked(PROXY, ("Forwarded", "for=1.1.1.1"), ("X-Real-IP", "1.1.1.1"))

    assert client_address(scope, TRUSTED) == PROXY


def test_client__ipv6__counts_by_64_and_mapped_ipv4_as_itself():
    turns = {client_address(forwarded(f"2001:db8:1:2::{turn:x}")) for turn in range(100)}

    assert turns == {"2001:db8:1:2::/64"}
    assert client_address(forwarded("2001:db8:1:3::1")) == "2001:db8:1:3::/64"
    assert client_address(forwarded("::ffff:203.0.113.7")) == PEER
    assert client_address(forwarded("fe80::1%eth0")) == "fe80::/64"


def test_client__a_unix_socket__is_trusted_only_by_name():
    assert client_address(forwarded(None, "9.9.9.9")) == UNKNOWN
    assert client_address(forwarded(None, "9.9.9.9"), TrustedProxies(["unix"])) == "9.9.9.9"
    assert client_address(forwarded(None), TrustedProxies(["unix"])) == UNKNOWN
    assert client_address(forwarded("testclient", "9.9.9.9"), TrustedProxies(["unix"])) == UNKNOWN


def test_client__very_many_hops__are_cut_off_at_once():
    for hops in (f"{INNER}," * 20_000 + INNER, "," * 60_000):
        assert client_address(forwarded(PROXY, hops), TRUSTED) in (INNER, PROXY)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("*", "is no address"),
        ("10.0.0.0/33", "is no address"),
        ("proxy.example", "is no address"),
        ("0.0.0.0/0", "would believe everybody"),
        ("::/0", "would believe everybody"),
        ("::ffff:0.0.0.0/96", "would believe everybody"),
    ],
)
def test_trusted__what_is_no_proxy__is_refused(name: str, says: str):
    with pytest.raises(ValueError, match=says):
        TrustedProxies([name])


def test_trusted__a_network_mapped_into_ipv6__holds_the_ipv4_ones():
    assert client_address(forwarded(PROXY, "9.9.9.9"), TrustedProxies(["::ffff:10.0.0.0/104"])) == (
        "9.9.9.9"
    )
