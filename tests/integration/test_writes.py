"""The eight writes over HTTP, on a chain that says what it is told to."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import coincurve
import httpx
import msgspec
import pytest
from eth_hash.auto import keccak

from renown.api.answers import operations as operations_answers
from renown.chain.signatures import address_of
from renown.chain.tx.signed import read_signed, sign_with
from renown.chain.tx.signer import LocalSigner
from renown.errors import HostingFull, StoreError
from renown.obs import metrics
from renown.spec import calls
from renown.spec.documents import read_document
from renown.spec.documents.feedback import read_feedback_file
from renown.spec.inline import read_inline
from renown.store import hosted, idempotency, operations
from renown.store.pool import Pool, transaction
from renown.store.wallets import add_wallet
from renown.types import checksum_address
from tests.access import Holder, acting_api, give_account
from tests.factories import ALICE, BOB, CAROL, DEVNET, Story
from tests.fakes.writing import FakeWriter, from_json

KEY = coincurve.PrivateKey(keccak(b"a wallet of the tests"))
WALLET = address_of(KEY.public_key)
NAMED = checksum_address(WALLET)
SERVED = coincurve.PrivateKey(keccak(b"a wallet of the server"))
SERVER = address_of(SERVED.public_key)
REQUEST = keccak(b"a request")
FILE = {
    "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
    "name": "Weather",
    "description": "Tells the weather of tomorrow.",
    "image": "https://weather.example/logo.png",
    "services": [{"name": "MCP", "endpoint": "https://weather.example/mcp"}],
}


class Desk:
    """The API with one account that has a wallet, and another account."""

    client: httpx.AsyncClient
    pool: Pool
    chain: FakeWriter
    me: Holder
    other: Holder
    desk: Any

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        if isinstance(body, dict) and body.get("mode") == "managed":
            headers = {"Idempotency-Key": str(uuid4())} | headers
        return await self.client.request(method, path, json=body, headers=self.me.headers | headers)

    async def made(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = await self.send(method, path, body, **headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def refused(
        self, status: int, slug: str, method: str, path: str, body: Any = None
    ) -> Any:
        answer = await self.send(method, path, body)
        assert answer.status_code == status, answer.text
        problem = answer.json()
        assert problem["type"] == f"/problems/{slug}", problem
        return problem

    async def count(self, table: str) -> int:
        async with self.pool.connection() as conn:
            found: int = await conn.fetchval(f"SELECT count(*) FROM {table}")
        return found


@pytest.fixture
async def desk(fresh_database_url: str) -> AsyncIterator[Desk]:
    story = Story()
    story.mint(7, ALICE).mint(8, WALLET)
    story.give(7, WALLET, 1, value=80).give(7, BOB, 1, value=10)
    story.ask_validation(7, b"a request", WALLET)
    await story.write(fresh_database_url)
    async with acting_api(fresh_database_url) as api:
        made = Desk()
        made.client, made.pool, made.chain = api.client, api.pool, FakeWriter()
        made.me, made.other = await give_account(api.pool), await give_account(api.pool)
        made.desk = api.app.state.desk
        made.desk.writers = {DEVNET.chain_id: made.chain}
        async with api.pool.transaction() as tx:
            await add_wallet(tx, made.me.account.account_id, WALLET, 0, "signature")
        yield made


async def test_registration__when_prepared__then_the_transaction_is_exactly_what_was_asked(
    desk: Desk,
) -> None:
    body = {"chain": "devnet", "from": NAMED, "uri": "ipfs://x", "metadata": {"a": "b"}}
    made = await desk.made("POST", "/v1/agents", body)
    assert (made["state"], made["next"], made["left"]) == ("prepared", "sign", [1])
    unsigned = from_json(made["transactions"][0]["unsigned"])
    assert calls.read_call(unsigned.calldata) == calls.Call(
        calls.REGISTER_METADATA, {"uri": b"ipfs://x", "metadata": ((b"a", b"b"),)}
    )
    assert (unsigned.sender, unsigned.to, unsigned.nonce) == (WALLET, DEVNET.identity, 5)
    read = await desk.send("GET", f"/v1/operations/{made['id']}")
    assert (read.json(), read.headers["cache-control"]) == (made, "no-store")


# What each write becomes ----------------------------------------------------------------------

RATE: dict[str, Any] = {"from": NAMED, "value": "99.70", "tag1": "uptime"}
WRITES: dict[str, tuple[str, str, dict[str, Any], list[calls.Call]]] = {
    "update": (
        "PATCH",
        "/v1/agents/31337:8",
        {"from": NAMED, "uri": "ipfs://y", "metadata": {"gone": None, "set": {"hex": "0x00ff"}}},
        [
            calls.Call(calls.SET_AGENT_URI, {"agent_id": 8, "uri": b"ipfs://y"}),
            calls.Call(
                calls.SET_METADATA, {"agent_id": 8, "key": b"set", "value": bytes.fromhex("00ff")}
            ),
            calls.Call(calls.SET_METADATA, {"agent_id": 8, "key": b"gone", "value": b""}),
        ],
    ),
    "wallet": (
        "POST",
        "/v1/agents/31337:8/wallet",
        {"from": NAMED, "wallet": None},
        [calls.Call(calls.UNSET_AGENT_WALLET, {"agent_id": 8})],
    ),
    "feedback": (
        "POST",
        "/v1/agents/31337:7/feedback",
        RATE | {"tag2": "day", "endpoint": "https://e", "uri": "https://f"},
        [
            calls.Call(
                calls.GIVE_FEEDBACK,
                {
                    "agent_id": 7,
                    "value": 9970,
                    "decimals": 2,
                    "tag1": b"uptime",
                    "tag2": b"day",
                    "endpoint": b"https://e",
                    "uri": b"https://f",
                    "content_hash": bytes(32),
                },
            )
        ],
    ),
    "revoke": (
        "DELETE",
        f"/v1/agents/31337:7/feedback/{NAMED}/1",
        {},
        [calls.Call(calls.REVOKE_FEEDBACK, {"agent_id": 7, "index": 1})],
    ),
    "response": (
        "POST",
        f"/v1/agents/31337:7/feedback/{checksum_address(BOB)}/1/responses",
        {"from": NAMED, "uri": "ipfs://sorry", "content_hash": "0x" + "ab" * 32},
        [
            calls.Call(
                calls.APPEND_RESPONSE,
                {
                    "agent_id": 7,
                    "client": BOB,
                    "index": 1,
                    "uri": b"ipfs://sorry",
                    "content_hash": bytes.fromhex("ab" * 32),
                },
            )
        ],
    ),
    "validation-request": (
        "POST",
        "/v1/agents/31337:8/validations",
        {
            "from": NAMED,
            "validator": checksum_address(CAROL),
            "uri": "ipfs://work",
            "request_hash": "0x" + "cd" * 32,
        },
        [
            calls.Call(
                calls.VALIDATION_REQUEST,
                {
                    "validator": CAROL,
                    "agent_id": 8,
                    "uri": b"ipfs://work",
                    "request_hash": bytes.fromhex("cd" * 32),
                },
            )
        ],
    ),
    "validation-response": (
        "POST",
        f"/v1/validations/0x{REQUEST.hex()}/response",
        {"from": NAMED, "response": 95, "tag": "hard"},
        [
            calls.Call(
                calls.VALIDATION_RESPONSE,
                {
                    "request_hash": REQUEST,
                    "response": 95,
                    "uri": b"",
                    "content_hash": bytes(32),
                    "tag": b"hard",
                },
            )
        ],
    ),
}
REGISTER = ("POST", "/v1/agents", {"chain": 31337, "from": NAMED, "uri": "ipfs://x"})


@pytest.mark.parametrize("kind", WRITES)
async def test_write__when_prepared_relayed_or_managed__then_the_calls_are_the_same(
    desk: Desk, kind: str
) -> None:
    method, path, body, wanted = WRITES[kind]
    prepared = await desk.made(method, path, body)
    assert prepared["kind"] == kind
    unsigned = [from_json(one["unsigned"]) for one in prepared["transactions"]]
    assert [calls.read_call(one.calldata) for one in unsigned] == wanted
    assert [one.nonce for one in unsigned] == [5 + n for n in range(len(wanted))]

    raws = ["0x" + sign_with(KEY, one).hex() for one in unsigned]
    relayed = await desk.made(method, path, {"mode": "relay", "transactions": raws[::-1]})
    assert (relayed["state"], relayed["next"]) == ("submitted", "wait")
    assert _said(relayed) == _said(prepared)

    desk.desk.signer, desk.desk.signer_is_open = LocalSigner([KEY, SERVED]), True
    managed = await desk.made(method, path, body | {"mode": "managed"})
    assert (managed["mode"], managed["next"]) == ("managed", "wait")
    assert all(one["unsigned"] is None for one in managed["transactions"])
    assert _said(managed) == _said(prepared)


async def test_relay__when_only_the_first_is_signed__then_the_others_are_still_to_be_signed(
    desk: Desk,
) -> None:
    body = {"from": NAMED, "metadata": {"a": "1", "b": "2"}}
    made = await desk.made("PATCH", "/v1/agents/31337:8", body)
    raws = ["0x" + sign_with(KEY, from_json(one["unsigned"])).hex() for one in made["transactions"]]
    path = f"/v1/operations/{made['id']}/transactions"
    for raw, following in zip(raws, ("sign", "wait"), strict=True):
        answer = await desk.send("POST", path, {"transactions": [raw]})
        assert (answer.json()["state"], answer.json()["next"]) == ("submitted", following)


def _said(operation: Any) -> Any:
    return [(one["function"], one["contract"], one["summary"]) for one in operation["transactions"]]


# Who may, and in which order that is asked -------------------------------------------------------


async def test_write__when_the_wallet_is_anothers__then_403_before_any_node_is_asked(
    desk: Desk,
) -> None:
    desk.me = desk.other
    for method, path, body in [REGISTER, *[write[:3] for write in WRITES.values()]]:
        await desk.refused(403, "wallet-not-proved", method, path, body)
        answer = await desk.client.request(method, path, json=body)
        assert answer.status_code == 401
    assert desk.chain.questions == 0


async def test_write__when_the_agent_is_unknown_too__then_the_wallet_is_asked_about_first(
    desk: Desk,
) -> None:
    body = RATE | {"from": checksum_address(BOB)}
    path = "/v1/agents/31337:99/feedback"
    await desk.refused(403, "wallet-not-proved", "POST", path, body)
    await desk.refused(404, "agent-not-found", "POST", path, RATE)
    path = f"/v1/agents/31337:7/feedback/{NAMED}/2"
    await desk.refused(404, "feedback-not-found", "DELETE", path)
    path = f"/v1/validations/0x{'ee' * 32}/response"
    await desk.refused(404, "validation-not-found", "POST", path, {"from": NAMED, "response": 1})
    await desk.refused(404, "chain-not-found", *REGISTER[:2], REGISTER[2] | {"chain": "base"})
    desk.desk.writers = {}
    await desk.refused(409, "chain-not-writable", *REGISTER)


async def test_managed__when_not_allowed_or_not_there__then_it_says_which(desk: Desk) -> None:
    method, path, body = REGISTER
    body = body | {"mode": "managed"}
    await desk.refused(403, "signer-not-allowed", method, path, body)
    desk.desk.signer_is_open = True
    await desk.refused(409, "chain-not-writable", method, path, body)
    desk.desk.signer = LocalSigner([SERVED])
    await desk.refused(403, "signer-not-allowed", method, path, body)  # for a wallet of the client
    del body["from"]
    made = await desk.made(method, path, body)
    assert made["sender"] == checksum_address(SERVER)


async def test_write__when_the_contract_would_refuse__then_422_with_its_reason_and_nothing_stored(
    desk: Desk,
) -> None:
    desk.chain.refuses = "Self-feedback not allowed"
    path = "/v1/agents/31337:8/feedback"
    problem = await desk.refused(422, "call-would-fail", "POST", path, RATE)
    assert problem["reason"] == "Self-feedback not allowed"
    assert await desk.count("operation") == 0


async def test_write__when_only_tried__then_the_plan_is_answered_and_nothing_stored(
    desk: Desk,
) -> None:
    method, path, body = REGISTER
    answer = await desk.send(method, path, body | {"dry_run": True, "file": FILE, "uri": None})
    assert answer.status_code == 200, answer.text
    planned = answer.json()["transactions"][0]
    assert "register a new agent" in planned["summary"]
    assert calls.read_call(from_json(planned["unsigned"]).calldata).function == calls.REGISTER_URI
    assert await desk.count("operation") == 0


# Relays ------------------------------------------------------------------------------------------


async def test_write__when_another_of_the_wallet_is_on_its_way__then_the_next_nonce_is_prepared(
    desk: Desk,
) -> None:
    path = "/v1/agents/31337:7/feedback"
    first, second = [await desk.made("POST", path, RATE | {"value": n}) for n in (1, 2)]
    unsigned = [from_json(one["transactions"][0]["unsigned"]) for one in (first, second)]
    assert [one.nonce for one in unsigned] == [5, 5]  # nobody has signed anything
    raws = ["0x" + sign_with(KEY, one).hex() for one in unsigned]
    relays = [f"/v1/operations/{one['id']}/transactions" for one in (first, second)]
    assert (await desk.send("POST", relays[0], {"transactions": raws[:1]})).status_code == 200
    conflict = await desk.refused(
        409, "operation-conflict", "POST", relays[1], {"transactions": raws[1:]}
    )
    assert conflict["nonce"] == 6
    third = await desk.made("POST", path, RATE | {"value": 3})
    assert from_json(third["transactions"][0]["unsigned"]).nonce == 6


async def test_relay__when_it_is_another_call__then_refused(desk: Desk) -> None:
    path = "/v1/agents/31337:7/feedback"
    made = await desk.made("POST", path, RATE)
    unsigned = from_json(made["transactions"][0]["unsigned"])
    replace = msgspec.structs.replace
    wrong: dict[str, Any] = {
        "agent": replace(unsigned, calldata=calls.give_feedback(8, 1)),
        "function": replace(unsigned, calldata=calls.revoke_feedback(7, 1)),
        "contract": replace(unsigned, to=DEVNET.identity),
        "chain": replace(unsigned, chain_id=1),
        "value": replace(unsigned, value_wei=1),
    }
    for name, one in wrong.items():
        body = {"mode": "relay", "transactions": ["0x" + sign_with(KEY, one).hex()]}
        problem = await desk.refused(422, "transaction-refused", "POST", path, body)
        assert problem["position"] == 0, name
        relay = f"/v1/operations/{made['id']}/transactions"
        await desk.refused(
            422, "transaction-refused", "POST", relay, {"transactions": body["transactions"]}
        )


async def test_relay__when_what_was_prepared_comes_signed__then_submitted_once_and_replaceable(
    desk: Desk,
) -> None:
    made = await desk.made("POST", "/v1/agents/31337:7/feedback", RATE)
    unsigned = from_json(made["transactions"][0]["unsigned"])
    path = f"/v1/operations/{made['id']}/transactions"
    first = {"transactions": ["0x" + sign_with(KEY, unsigned).hex()]}
    for _ in range(2):
        answer = await desk.send("POST", path, first)
        assert (answer.status_code, answer.json()["state"]) == (200, "submitted"), answer.text
    assert await desk.count("operation_transaction") == 1
    dearer = msgspec.structs.replace(unsigned, max_fee_wei=unsigned.max_fee_wei * 2)
    again = {"transactions": ["0x" + sign_with(KEY, dearer).hex()]}
    assert (await desk.send("POST", path, again)).status_code == 200
    elsewhere = msgspec.structs.replace(unsigned, nonce=unsigned.nonce + 1)
    twice = {"transactions": ["0x" + sign_with(KEY, elsewhere).hex()]}
    await desk.refused(409, "operation-conflict", "POST", path, twice)
    assert await desk.count("operation_transaction") == 2


async def test_relay__when_the_client_sent_it_already__then_it_is_watched_and_counts_once(
    desk: Desk,
) -> None:
    method, path, body, _ = WRITES["revoke"]
    unsigned = from_json((await desk.made(method, path, body))["transactions"][0]["unsigned"])
    signed = read_signed(sign_with(KEY, unsigned))
    relay = {"mode": "relay", "transactions": ["0x" + signed.raw.hex()]}
    desk.chain.refuses = "Already revoked"
    await desk.refused(422, "call-would-fail", method, path, relay)
    desk.chain.has = {signed.tx_hash}
    assert (await desk.made(method, path, relay))["state"] == "submitted"
    await desk.refused(409, "operation-conflict", method, path, relay)
    assert (await desk.count("operation"), await desk.count("operation_transaction")) == (2, 1)


async def test_operations__when_anothers__then_404_whatever_is_done(desk: Desk) -> None:
    made = await desk.made(*REGISTER)
    listed = (await desk.send("GET", "/v1/operations")).json()
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    desk.me = desk.other
    assert (await desk.send("GET", "/v1/operations")).json()["items"] == []
    path = f"/v1/operations/{made['id']}"
    await desk.refused(404, "operation-not-found", "GET", path)
    unsigned = from_json(made["transactions"][0]["unsigned"])
    raws = {"transactions": ["0x" + sign_with(KEY, unsigned).hex()]}
    await desk.refused(404, "operation-not-found", "POST", f"{path}/transactions", raws)
    signature = {"signature": "0x" + "11" * 65}
    await desk.refused(404, "operation-not-found", "POST", f"{path}/signature", signature)
    await desk.refused(404, "operation-not-found", "POST", f"{path}/resume")


async def test_operations__when_many__then_pages_have_each_once_newest_first(desk: Desk) -> None:
    ids = [(await desk.made(*REGISTER))["id"] for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await desk.send("GET", f"/v1/operations?limit=2{cursor}")).json()
        seen += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]


# Files -------------------------------------------------------------------------------------------


async def test_registration__when_the_file_is_hosted__then_its_uri_serves_exactly_its_bytes(
    desk: Desk,
) -> None:
    body = {"chain": "devnet", "from": NAMED, "file": FILE, "store": "hosted"}
    made = await desk.made("POST", "/v1/agents", body)
    unsigned = from_json(made["transactions"][0]["unsigned"])
    uri = calls.read_call(unsigned.calldata).arguments["uri"].decode()
    assert uri.startswith("https://renown.example/v1/files/0x")
    served = await desk.client.get(uri.removeprefix("https://renown.example"))
    assert served.status_code == 200
    assert served.json() == FILE
    assert hashlib.sha256(served.content).hexdigest() == uri[-64:]
    headers = served.headers
    assert (headers["content-type"], headers["x-content-type-options"]) == (
        "application/json",
        "nosniff",
    )
    assert "immutable" in headers["cache-control"]
    known = await desk.client.get(served.url.path, headers={"If-None-Match": headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    missing = await desk.client.get(f"/v1/files/0x{'00' * 32}")
    assert missing.json()["type"] == "/problems/file-not-hosted"


async def test_registration__when_the_file_has_errors__then_422_lists_them_all(desk: Desk) -> None:
    file = {"name": "", "services": "none"}
    body = {"chain": "devnet", "from": NAMED, "file": file}
    problem = await desk.refused(422, "registration-refused", "POST", "/v1/agents", body)
    codes = {one["code"] for one in problem["findings"]}
    assert {"missing-type", "missing-name"} <= codes or "not-a-registration" in codes, problem
    inline = "data:application/json,%7B%7D"
    body = {"chain": "devnet", "from": NAMED, "uri": inline}
    await desk.refused(422, "registration-refused", "POST", "/v1/agents", body)
    assert desk.chain.questions == 0
    lacking = {name: value for name, value in FILE.items() if name != "image"}
    made = await desk.made("POST", "/v1/agents", body | {"uri": None, "file": lacking})
    assert "missing-image" in {one["code"] for one in made["warnings"]}


async def test_registration__when_the_file_names_itself__then_the_second_step_waits_for_the_id(
    desk: Desk,
) -> None:
    body = {"chain": "devnet", "from": NAMED, "file": FILE, "names_itself": True}
    made = await desk.made("POST", "/v1/agents", body)
    first, second = made["transactions"]
    assert calls.read_call(from_json(first["unsigned"]).calldata) == calls.Call(calls.REGISTER, {})
    assert (second["function"], second["unsigned"]) == (calls.SET_AGENT_URI, None)
    assert (made["left"], made["next"], made["agent"]) == ([1, 2], "sign", None)
    assert len(desk.chain.estimated) == 1


async def test_update__when_a_file_comes__then_it_names_the_agent(desk: Desk) -> None:
    made = await desk.made("PATCH", "/v1/agents/31337:8", {"from": NAMED, "file": FILE})
    uri = calls.read_call(from_json(made["transactions"][0]["unsigned"]).calldata).arguments["uri"]
    body = read_inline(uri).body
    assert body is not None
    assert msgspec.json.decode(body)["registrations"] == [
        {"agentId": 8, "agentRegistry": f"eip155:31337:{checksum_address(DEVNET.identity)}"}
    ]


async def test_feedback__when_it_was_paid__then_its_file_says_so_and_the_hash_is_of_its_bytes(
    desk: Desk,
) -> None:
    body = RATE | {"proof_of_payment": {"tx_hash": "0x" + "ab" * 32}, "store": "hosted"}
    made = await desk.made("POST", "/v1/agents/31337:7/feedback", body)
    call = calls.read_call(from_json(made["transactions"][0]["unsigned"]).calldata).arguments
    served = await desk.client.get(call["uri"].decode().removeprefix("https://renown.example"))
    assert keccak(served.content) == call["content_hash"]
    file = read_feedback_file(read_document(served.content))
    assert file is not None
    assert (file.value, file.decimals, file.client) == (9970, 2, NAMED.lower())
    assert file.payment is not None
    assert (file.payment.payer, file.payment.payee, file.payment.chain_id) == (
        NAMED.lower(),
        checksum_address(ALICE).lower(),
        31337,
    )
    wrong = body | {"file": {"value": 5}}
    await desk.refused(400, "bad-body", "POST", "/v1/agents/31337:7/feedback", wrong)


async def test_hosting__when_the_room_is_used_up__then_refused_and_nothing_is_left(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults: dict[str, Any] = hosted.keep.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "most_bytes", 400)
    body = {"chain": "devnet", "from": NAMED, "file": FILE, "store": "hosted"}
    await desk.made("POST", "/v1/agents", body)
    other = body | {"file": FILE | {"name": "Other"}}
    await desk.refused(403, "hosting-full", "POST", "/v1/agents", other)
    assert (await desk.count("operation"), await desk.count("hosted_file")) == (1, 1)
    await desk.made("POST", "/v1/agents", body)  # the same file takes no room again
    huge = body | {"file": FILE | {"note": "x" * hosted.MOST_FILE_BYTES}}
    await desk.refused(413, "body-too-large", "POST", "/v1/agents", huge)


# Wallets -----------------------------------------------------------------------------------------


async def test_wallet__when_the_new_one_signs__then_its_call_is_complete_and_can_be_signed(
    desk: Desk,
) -> None:
    desk.chain.owner = WALLET
    wallet = checksum_address(SERVER)
    made = await desk.made("POST", "/v1/agents/31337:8/wallet", {"from": NAMED, "wallet": wallet})
    assert (made["next"], made["transactions"][0]["unsigned"]) == ("sign-typed-data", None)
    said = made["typed_data"]["message"]
    assert (said["newWallet"], said["owner"], said["agentId"]) == (wallet, NAMED, 8)
    assert 0 < int(said["deadline"]) - desk.chain.time <= 300
    signature = await LocalSigner([SERVED]).sign_typed_data(SERVER, made["typed_data"])
    path = f"/v1/operations/{made['id']}"
    answer = await desk.send("POST", f"{path}/signature", {"signature": "0x" + signature.hex()})
    assert answer.status_code == 200, answer.text
    after = answer.json()
    assert (after["next"], after["typed_data"]) == ("sign", None)
    call = calls.read_call(from_json(after["transactions"][0]["unsigned"]).calldata)
    assert call.arguments == {
        "agent_id": 8,
        "wallet": SERVER,
        "deadline": int(said["deadline"]),
        "signature": signature,
    }


async def test_wallet__when_its_signature_comes_late__then_resuming_gives_a_new_deadline(
    desk: Desk,
) -> None:
    desk.chain.owner = WALLET
    body = {"from": NAMED, "wallet": checksum_address(SERVER)}
    made = await desk.made("POST", "/v1/agents/31337:8/wallet", body)
    desk.chain.time += 301
    path = f"/v1/operations/{made['id']}"
    signature = {"signature": "0x" + "11" * 65}
    problem = await desk.refused(409, "operation-conflict", "POST", f"{path}/signature", signature)
    assert "resume" in problem["detail"]
    again = (await desk.send("POST", f"{path}/resume")).json()
    assert again["next"] == "sign-typed-data"
    before, after = (int(one["typed_data"]["message"]["deadline"]) for one in (made, again))
    assert after == before + 301
    desk.chain.refuses = "invalid wallet sig"
    await desk.refused(422, "call-would-fail", "POST", f"{path}/signature", signature)


async def test_wallet__when_the_server_signs_for_both__then_nobody_else_is_asked(
    desk: Desk,
) -> None:
    desk.chain.owner = WALLET
    desk.desk.signer, desk.desk.signer_is_open = LocalSigner([KEY, SERVED]), True
    body = {"mode": "managed", "wallet": checksum_address(SERVER)}
    made = await desk.made("POST", "/v1/agents/31337:8/wallet", body)
    assert (made["next"], made["typed_data"]) == ("wait", None)


# What cannot be ----------------------------------------------------------------------------------

BAD: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/agents", {"chain": "devnet", "metadata": {"agentWallet": "x"}}),
    ("POST", "/v1/agents", {"chain": "devnet", "metadata": {"": "x"}}),
    ("POST", "/v1/agents", {"chain": "devnet", "metadata": {"a": None}}),
    ("POST", "/v1/agents", {"chain": "devnet", "metadata": {str(n): "x" for n in range(33)}}),
    ("POST", "/v1/agents", {"chain": "devnet", "uri": "x", "file": FILE}),
    ("POST", "/v1/agents", {"chain": "devnet", "uri": "x", "names_itself": True}),
    ("POST", "/v1/agents", {"chain": "devnet", "uri": "x" * 140_000}),
    ("POST", "/v1/agents", {"chain": "devnet", "uri": "a\0b"}),
    ("POST", "/v1/agents", {"chain": "devnet", "file": FILE | {"note": ["a\0b"]}}),
    ("POST", "/v1/agents", {"chain": "devnet", "unknown": 1}),
    ("POST", "/v1/agents", {"chain": "devnet", "transactions": ["0x00"]}),
    ("PATCH", "/v1/agents/31337:8", {}),
    ("POST", "/v1/agents/31337:8/wallet", {}),
    ("POST", "/v1/agents/31337:8/wallet", {"wallet": checksum_address(bytes(20))}),
    ("POST", "/v1/agents/31337:8/wallet", {"wallet": NAMED, "deadline": 5}),
    ("POST", "/v1/agents/31337:7/feedback", {}),
    ("POST", "/v1/agents/31337:7/feedback", {"value": 99.7}),
    ("POST", "/v1/agents/31337:7/feedback", {"value": "1e3"}),
    ("POST", "/v1/agents/31337:7/feedback", {"value": "9.5", "decimals": 1}),
    ("POST", "/v1/agents/31337:7/feedback", {"value": 1, "decimals": 19}),
    ("POST", "/v1/agents/31337:7/feedback", {"value": 1, "decimals": -1}),
    ("POST", "/v1/agents/31337:7/feedback", {"value": 10**38 + 1}),
    ("POST", "/v1/agents/31337:7/feedback", {"value": str(-(10**38) - 1)}),
    ("POST", "/v1/agents/31337:7/feedback", {"value": 1, "content_hash": "0x" + "11" * 32}),
    ("POST", f"/v1/agents/31337:7/feedback/{NAMED}/1/responses", {}),
    ("POST", "/v1/agents/31337:8/validations", {"validator": NAMED, "uri": "ipfs://x"}),
    (
        "POST",
        "/v1/agents/31337:8/validations",
        {"validator": NAMED, "request_hash": "0x" + "0" * 64},
    ),
    ("POST", f"/v1/validations/0x{REQUEST.hex()}/response", {"response": 101}),
    ("POST", f"/v1/validations/0x{REQUEST.hex()}/response", {"response": -1}),
]


async def test_write__when_no_contract_would_take_it__then_400_before_any_node_is_asked(
    desk: Desk,
) -> None:
    for method, path, body in BAD:
        await desk.refused(400, "bad-body", method, path, {"from": NAMED} | body)
    assert desk.chain.questions == 0
    assert await desk.count("operation") == 0


# All or nothing ----------------------------------------------------------------------------------

MULTI_STEP: dict[str, tuple[str, str, dict[str, Any]]] = {
    "hosted file": (
        "POST",
        "/v1/agents",
        {"chain": "devnet", "from": NAMED, "file": FILE, "store": "hosted"},
    ),
    "several steps": WRITES["update"][:3],
}


@pytest.mark.parametrize("name", MULTI_STEP)
@pytest.mark.parametrize("breaks", ["steps", "answer", "kept answer"])
async def test_write__when_it_fails_in_the_middle__then_nothing_of_it_is_left(
    desk: Desk, name: str, breaks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> Any:
        raise StoreError("in the middle")

    place = {
        "steps": (operations, "write_event"),
        "answer": (operations_answers, "one"),
        "kept answer": (idempotency, "keep"),
    }[breaks]
    before = metrics.exposition()
    method, path, body = MULTI_STEP[name]
    with monkeypatch.context() as patch:
        patch.setattr(*place, broken)
        answer = await desk.send(method, path, body, **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/store-error")
    for table in ("operation", "operation_step", "operation_event", "hosted_file", "idempotency"):
        assert await desk.count(table) == 0, table
    assert _asked(metrics.exposition()) == _asked(before)
    await desk.made(method, path, body, **{"Idempotency-Key": "k"})
    assert _asked(metrics.exposition()) != _asked(before)


def _asked(exposition: bytes) -> list[bytes]:
    return [
        line
        for line in exposition.splitlines()
        if line.startswith(b"renown_operations_asked_total{")
    ]


async def test_relay__when_the_second_of_two_is_wrong__then_the_first_is_not_taken_either(
    desk: Desk,
) -> None:
    made = await desk.made(*WRITES["update"][:3])
    unsigned = [from_json(one["unsigned"]) for one in made["transactions"]]
    wrong = msgspec.structs.replace(unsigned[1], calldata=calls.set_metadata(8, b"other", b"x"))
    raws = ["0x" + sign_with(KEY, one).hex() for one in (unsigned[0], wrong)]
    path = f"/v1/operations/{made['id']}"
    body = {"transactions": raws}
    await desk.refused(422, "transaction-refused", "POST", f"{path}/transactions", body)
    assert (await desk.send("GET", path)).json() == made
    assert await desk.count("operation_transaction") == 0


async def test_nested_steps__when_one_fails__then_its_savepoint_alone_is_undone(
    desk: Desk,
) -> None:
    account_id = desk.me.account.account_id
    async with desk.pool.transaction("serializable") as tx:
        await hosted.keep(tx, account_id, b"{}")
        with pytest.raises(HostingFull):
            async with transaction(tx):
                await hosted.keep(tx, account_id, b"[]", most_bytes=0)
        await hosted.keep(tx, account_id, b"1")
    assert await desk.count("hosted_file") == 2
