"""Every call that can be built is read back as it was meant, and as eth-abi reads it; whatever else
comes is refused with a ValueError or is, byte for byte, what its reading says.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from renown.spec import calls
from renown.spec.calldata import argument_types
from renown.spec.calls import BUILDERS, calldata_of, describe_call, read_call
from renown.spec.contracts import selector
from renown.spec.text import shown

IDS = st.integers(0, 2**256 - 1)
INDEXES = st.integers(0, 2**64 - 1)
BYTES = st.binary(max_size=100)
WORDS = st.binary(min_size=32, max_size=32)
ADDRESSES = st.binary(min_size=20, max_size=20)
PAIRS = st.lists(st.tuples(BYTES, BYTES), max_size=5)

ARGUMENTS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    calls.REGISTER: {},
    calls.REGISTER_URI: {"uri": BYTES},
    calls.REGISTER_METADATA: {"uri": BYTES, "metadata": PAIRS.filter(bool)},
    calls.SET_AGENT_URI: {"agent_id": IDS, "uri": BYTES},
    calls.SET_METADATA: {"agent_id": IDS, "key": BYTES, "value": BYTES},
    calls.SET_AGENT_WALLET: {
        "agent_id": IDS,
        "wallet": ADDRESSES,
        "deadline": IDS,
        "signature": BYTES,
    },
    calls.UNSET_AGENT_WALLET: {"agent_id": IDS},
    calls.GIVE_FEEDBACK: {
        "agent_id": IDS,
        "value": st.integers(-(2**127), 2**127 - 1),
        "decimals": st.integers(0, 255),
        "tag1": BYTES,
        "tag2": BYTES,
        "endpoint": BYTES,
        "uri": BYTES,
        "content_hash": WORDS,
    },
    calls.REVOKE_FEEDBACK: {"agent_id": IDS, "index": INDEXES},
    calls.APPEND_RESPONSE: {
        "agent_id": IDS,
        "client": ADDRESSES,
        "index": INDEXES,
        "uri": BYTES,
        "content_hash": WORDS,
    },
    calls.VALIDATION_REQUEST: {
        "validator": ADDRESSES,
        "agent_id": IDS,
        "uri": BYTES,
        "request_hash": WORDS,
    },
    calls.VALIDATION_RESPONSE: {
        "request_hash": WORDS,
        "response": st.integers(0, 255),
        "uri": BYTES,
        "content_hash": WORDS,
        "tag": BYTES,
    },
}


def built(function: str) -> st.SearchStrategy[tuple[str, dict[str, Any], bytes]]:
    said = st.fixed_dictionaries(ARGUMENTS[function])
    return said.map(lambda values: (function, values, BUILDERS[function](**values)))


ANY_CALL = st.sampled_from(list(BUILDERS)).flatmap(built)


def as_read(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize("function", BUILDERS)
def test_read_call__of_what_a_builder_made__is_what_it_was_given(function):
    @given(built(function))
    def check(made: tuple[str, dict[str, Any], bytes]) -> None:
        _, values, calldata = made

        call = read_call(calldata)

        assert call.function == function
        assert call.arguments == {name: as_read(value) for name, value in values.items()}
        assert call.suffix == b""
        assert calldata_of(call) == calldata
        told = describe_call(call, contract_name="c")
        assert told == shown(told)
        assert len(told.splitlines()) == 1

    check()


@given(ANY_CALL, st.binary(max_size=80), st.data())
def test_read_call__damaged__says_value_error_or_reads_what_is_there(made, junk, data):
    _, _, calldata = made
    place = data.draw(st.integers(0, len(calldata)))
    width = data.draw(st.integers(0, 40))
    damaged = calldata[:place] + junk + calldata[place + width :]

    try:
        call = read_call(damaged)
    except ValueError:
        return
    assert calldata_of(call) == damaged
    types = [kind.replace("string", "bytes") for kind in argument_types(call.function)]
    for (name, ours), theirs, kind in zip(
        call.arguments.items(), decode(types, damaged[4:]), types, strict=True
    ):
        if kind == "address":
            theirs = bytes.fromhex(theirs[2:])
        assert ours == theirs, name


@given(ANY_CALL, st.data())
def test_read_call__eth_abi_refuses__so_do_we(made, data):
    function, _, calldata = made
    cut = calldata[: data.draw(st.integers(4, len(calldata)))]
    types = [kind.replace("string", "bytes") for kind in argument_types(function)]
    try:
        decode(types, cut[4:])
    except (DecodingError, OverflowError):
        with pytest.raises(ValueError, match=r"\w"):
            read_call(cut)


@given(st.binary(max_size=300), st.sampled_from([b"", *map(selector, BUILDERS)]))
def test_read_call__any_bytes__only_ever_a_value_error(junk, begin):
    with suppress(ValueError):
        read_call(begin + junk)
