"""Our way to Keccak-256, and the spelling of addresses by it, against the library's own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from eth_hash.auto import keccak as of_library
from hypothesis import given
from hypothesis import strategies as st

from renown import keccak as ours
from renown.types import checksum_address


def spelt(address: bytes) -> str:
    """EIP-55, letter by letter."""
    plain = address.hex()
    digest = of_library(plain.encode()).hex()
    letters = zip(plain, digest, strict=False)
    return "0x" + "".join([one.upper() if int(by, 16) > 7 else one for one, by in letters])


def test_keccak__where_the_library_is_as_we_know_it__is_not_the_slow_one() -> None:
    assert ours.keccak is not of_library


@pytest.mark.parametrize("version", [(3, 19, 1), (3, 25, 0), (4, 0, 0)])
def test_found__version_that_is_not_known__is_not_called(
    version: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("Crypto.version_info", version)
    monkeypatch.setattr("ctypes.CDLL", pytest.fail)

    with pytest.raises(OSError, match="not a version"):
        ours._found()


@given(st.binary(max_size=400))
def test_keccak__any_message__is_that_of_the_library(message) -> None:
    assert ours.keccak(message) == of_library(message)


@given(st.binary(min_size=20, max_size=20))
def test_checksum_address__any_address__is_spelt_as_defined(address) -> None:
    assert checksum_address(address) == spelt(address)


def test_keccak__in_many_threads_at_once__is_that_of_the_library() -> None:
    messages = [n.to_bytes(4) * 10 for n in range(2_000)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [ours.keccak(one) for one in messages], range(8)))

    assert found == [[of_library(one) for one in messages]] * 8
