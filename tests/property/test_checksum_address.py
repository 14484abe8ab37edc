"""The spelling of addresses, against its definition letter by letter."""

from __future__ import annotations

from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from renown.types import checksum_address


def spelt(address: bytes) -> str:
    """EIP-55, letter by letter."""
    plain = address.hex()
    digest = keccak(plain.encode()).hex()
    letters = zip(plain, digest, strict=False)
    return "0x" + "".join([one.upper() if int(by, 16) > 7 else one for one, by in letters])


@given(st.binary(min_size=20, max_size=20))
def test_checksum_address__any_address__is_spelt_as_defined(address) -> None:
    assert checksum_address(address) == spelt(address)
