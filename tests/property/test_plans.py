"""Plans: every transaction says exactly what was asked, read back from its calldata."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from renown.derive.files import File, Link, file_bytes, inline_uri, naming_itself
from renown.derive.operation import AwaitsAgentId, AwaitsWalletSignature, PlannedStep
from renown.derive.plan import fill_agent_id, plan, plan_of_calls
from renown.derive.writes import (
    LARGEST_VALUE,
    AnswerValidation,
    GiveFeedback,
    Register,
    RequestValidation,
    Respond,
    RevokeFeedback,
    SetWallet,
    UnsetWallet,
    Update,
    exact_value,
)
from renown.errors import BadBody, TransactionRefused
from renown.spec import calls
from renown.spec.deployments import find
from renown.spec.inline import read_inline

BASE = find("base")
ids = st.integers(0, 2**63 - 1)
words = st.binary(min_size=32, max_size=32).filter(any)
addresses = st.binary(min_size=20, max_size=20).filter(any)
texts = st.binary(max_size=70)
keys = st.binary(min_size=1, max_size=40).filter(lambda key: key != b"agentWallet")
entries = st.lists(st.tuples(keys, texts), max_size=5).map(tuple)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
files = st.builds(
    File,
    st.dictionaries(st.text(max_size=12), json_values, max_size=5),
    st.booleans(),
    st.just("https://renown.example"),
)
contents = st.builds(Link, texts, words) | files


def read(steps: tuple[PlannedStep, ...]) -> list[dict[str, Any]]:
    found = []
    for step in steps:
        assert step.calldata is not None
        call = calls.read_call(step.calldata)
        assert (call.function, call.suffix) == (step.function, b"")
        found.append(call.arguments)
    return found


def require_placed(content: Link | File, files: tuple[bytes, ...], uri: bytes, said: bytes) -> None:
    """`uri` leads to the content and `said` is keccak256 of the bytes it leads to."""
    if isinstance(content, Link):
        assert (uri, said, files) == (content.uri, content.content_hash, ())
        return
    if content.hosted:
        (body,) = files
        assert uri.startswith(b"https://renown.example/v1/files/0x")
    else:
        body = read_inline(uri).body or b""
        assert files == ()
    assert msgspec.json.decode(body) == content.fields
    assert keccak(body) == said


@given(contents, entries)
def test_register__when_planned__then_its_calldata_says_what_was_asked(
    content: Link | File, metadata: tuple[tuple[bytes, bytes], ...]
) -> None:
    made = plan(Register(content=content, metadata=metadata), BASE, None)
    (said,) = read(made.steps)
    assert said.get("metadata", ()) == metadata
    uri = said.get("uri", b"")
    require_placed(content, made.files, uri, _hash_of(content))
    assert made.steps[0].contract == BASE.identity


@given(contents | st.none(), entries, ids)
def test_update__when_planned__then_one_transaction_each_and_removals_last(
    content: Link | File | None, metadata: tuple[tuple[bytes, bytes], ...], agent_id: int
) -> None:
    if content is None and not metadata:
        with pytest.raises(BadBody):
            plan(Update(), BASE, agent_id)
        return
    made = plan(Update(content=content, metadata=metadata), BASE, agent_id)
    said = read(made.steps)
    assert {one["agent_id"] for one in said} == {agent_id}
    if content is not None:
        require_placed(content, made.files, said.pop(0)["uri"], _hash_of(content))
    pairs = [(one["key"], one["value"]) for one in said]
    assert sorted(pairs) == sorted(metadata)
    assert [not value for _, value in pairs] == sorted(not value for _, value in pairs)


@given(st.integers(-LARGEST_VALUE, LARGEST_VALUE), st.integers(0, 18), texts, texts, contents, ids)
def test_feedback__when_planned__then_value_tags_and_hash_are_exact(
    value: int, decimals: int, tag: bytes, endpoint: bytes, content: Link | File, agent_id: int
) -> None:
    write = GiveFeedback(
        value=value, decimals=decimals, tag1=tag, endpoint=endpoint, content=content
    )
    made = plan(write, BASE, agent_id)
    (said,) = read(made.steps)
    require_placed(content, made.files, said.pop("uri"), said.pop("content_hash"))
    assert said == {
        "agent_id": agent_id,
        "value": value,
        "decimals": decimals,
        "tag1": tag,
        "tag2": b"",
        "endpoint": endpoint,
    }
    assert made.steps[0].contract == BASE.reputation


@given(addresses, st.integers(1, 2**64 - 1), contents, ids, words, st.integers(0, 100), texts)
def test_others__when_planned__then_their_calldata_says_what_was_asked(
    client: bytes,
    index: int,
    content: Link | File,
    agent_id: int,
    request_hash: bytes,
    response: int,
    tag: bytes,
) -> None:
    (said,) = read(plan(RevokeFeedback(index), BASE, agent_id).steps)
    assert said == {"agent_id": agent_id, "index": index}
    (said,) = read(plan(UnsetWallet(), BASE, agent_id).steps)
    assert said == {"agent_id": agent_id}

    if isinstance(content, File) or content.uri:
        made = plan(Respond(client=client, index=index, content=content), BASE, agent_id)
        (said,) = read(made.steps)
        require_placed(content, made.files, said.pop("uri"), said.pop("content_hash"))
        assert said == {"agent_id": agent_id, "client": client, "index": index}

    contract = BASE.validation[0]
    given_hash = request_hash if isinstance(content, Link) else None
    asked = RequestValidation(
        contract=contract, validator=client, content=content, request_hash=given_hash
    )
    made = plan(asked, BASE, agent_id)
    (said,) = read(made.steps)
    if given_hash is None:
        require_placed(content, made.files, said["uri"], said["request_hash"])
    else:
        assert said["request_hash"] == given_hash
    assert (said["validator"], said["agent_id"]) == (client, agent_id)

    answer = AnswerValidation(
        contract=contract, request_hash=request_hash, response=response, tag=tag, content=content
    )
    made = plan(answer, BASE, None)
    (said,) = read(made.steps)
    require_placed(content, made.files, said.pop("uri"), said.pop("content_hash"))
    assert said == {"request_hash": request_hash, "response": response, "tag": tag}
    assert made.steps[0].contract == contract


@given(addresses, addresses, st.integers(0, 2**63 - 1), ids, st.binary(max_size=100))
def test_wallet__when_planned__then_it_waits_for_the_signature_or_has_it(
    wallet: bytes, owner: bytes, deadline: int, agent_id: int, signature: bytes
) -> None:
    asked = SetWallet(wallet=wallet, owner=owner, deadline=deadline)
    (waiting,) = plan(asked, BASE, agent_id).steps
    assert waiting.calldata is None
    assert isinstance(waiting.template, AwaitsWalletSignature)
    assert waiting.template.deadline == deadline
    signed = msgspec.structs.replace(asked, signature=signature)
    (done,) = plan(signed, BASE, agent_id).steps
    assert read((done,)) == [
        {"agent_id": agent_id, "wallet": wallet, "deadline": deadline, "signature": signature}
    ]
    assert done.summary == waiting.summary


@given(files, ids, st.sampled_from(["base", "devnet", "ethereum"]))
def test_file__when_the_id_is_known__then_it_points_back_once_and_keeps_the_rest(
    file: File, agent_id: int, chain: str
) -> None:
    on = find(chain)
    made = plan(Register(content=file, names_itself=True), on, None)
    first, second = made.steps
    assert first.calldata == calls.register()
    assert isinstance(second.template, AwaitsAgentId)
    # As it comes back from the database: keys in another order.
    stored = msgspec.json.decode(msgspec.json.encode(second.template, order="sorted"))
    template = msgspec.convert(stored, AwaitsAgentId)
    calldata, hosted = fill_agent_id(template, agent_id, on.chain_id, on.identity)
    again = fill_agent_id(second.template, agent_id, on.chain_id, on.identity)
    assert (calldata, hosted) == again
    said = calls.read_call(calldata).arguments
    assert said["agent_id"] == agent_id
    body = hosted if hosted is not None else read_inline(said["uri"]).body
    assert body is not None
    written = msgspec.json.decode(body)
    own = written.pop("registrations")[-1]
    assert own["agentId"] == agent_id
    assert own["agentRegistry"].lower() == f"eip155:{on.chain_id}:0x{on.identity.hex()}"
    assert written == {k: v for k, v in file.fields.items() if k != "registrations"}
    twice = naming_itself(msgspec.json.decode(body), on.chain_id, on.identity, agent_id)
    assert file_bytes(twice) == body


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=6, min_value=-(10**20), max_value=10**20
    )
)
def test_value__when_written_as_a_decimal__then_the_chain_has_it_exactly(number: Decimal) -> None:
    text = format(number, "f")
    value, decimals = exact_value(text, None)
    assert Decimal(value).scaleb(-decimals) == number
    assert exact_value(value, decimals) == (value, decimals)
    assert exact_value(str(value), decimals) == (value, decimals)


@given(contents, ids, st.sampled_from(["feedback", "revoke", "update", "wallet", "response"]))
def test_calls__when_planned_from_what_was_signed__then_the_same_plan(
    content: Link | File, agent_id: int, kind: Any
) -> None:
    made = plan(GiveFeedback(value=5, content=content), BASE, agent_id)
    sent = [(step.contract, step.calldata or b"") for step in made.steps]
    if kind == "feedback":
        again = plan_of_calls(kind, BASE, sent, {"agent_id": agent_id})
        assert again.steps == made.steps
        with pytest.raises(TransactionRefused):
            plan_of_calls(kind, BASE, sent, {"agent_id": agent_id + 1})
        with pytest.raises(TransactionRefused):
            plan_of_calls(kind, BASE, [(BASE.identity, sent[0][1])], {})
        with pytest.raises(TransactionRefused):
            plan_of_calls(kind, BASE, [*sent, *sent], {})
    else:
        with pytest.raises(TransactionRefused):
            plan_of_calls(kind, BASE, sent, {})


def test_inline_uri__when_read_as_others_do__then_without_any_allowance() -> None:
    read = read_inline(inline_uri(b'{"name":"x"}'))
    assert (read.body, read.findings) == (b'{"name":"x"}', ())


def _hash_of(content: Link | File) -> bytes:
    if isinstance(content, Link):
        return content.content_hash
    return keccak(file_bytes(content.fields))
