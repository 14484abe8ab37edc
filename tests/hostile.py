"""The acting API with everything behind it, for requests that mean harm: what it stores, logs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import msgspec
import pytest
from eth_hash.auto import keccak
from structlog.testing import capture_logs

from renown.chain.tx.signer import LocalSigner
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.store.pool import Pool
from renown.store.wallets import add_wallet
from tests.access import Api, Holder, Signer, acting_api, give_account
from tests.factories import BOB, Story
from tests.fakes.acted_on import AnyChain
from tests.fakes.payment_chain import Move

OWN_KEY = 0xF0231
OWN = Signer(OWN_KEY)
PAYER = Signer(0xF0232)
SERVED_KEY = (0xF0233).to_bytes(32)
NEW_WALLET = Signer(0xF0234)
AGENT = "/v1/agents/31337:7"
REQUEST_HASH = "0x" + "5c" * 32
REGISTRATION = {
    "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
    "name": "Weather",
    "description": "Tells the weather of tomorrow.",
    "image": "https://weather.example/logo.png",
    "services": [{"name": "MCP", "endpoint": "https://weather.example/mcp"}],
}

# What an account's requests write, and what they may leave behind in no case.
TABLES = (
    *("account", "account_wallet", "api_key", "wallet_challenge", "idempotency", "hosted_file"),
    *("operation", "operation_step", "operation_transaction", "operation_event"),
    *("payment_claim", "payment"),
)


class Target(msgspec.Struct):
    """The API, an account with a wallet, the agent 7 of that wallet, and another account."""

    api: Api
    chain: AnyChain
    me: Holder
    other: Holder
    writes: dict[str, tuple[str, str, dict[str, Any]]]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.api.client

    @property
    def pool(self) -> Pool:
        return self.api.pool

    async def stored(self) -> dict[str, int]:
        """Rows by table."""
        counts = ", ".join(f"(SELECT count(*) FROM {one}) AS {one}" for one in TABLES)
        async with self.pool.connection() as conn:
            row = await conn.fetchrow(f"SELECT {counts}")
        return {} if row is None else dict(row)


@asynccontextmanager
async def target_on(url: str, **given: Any) -> AsyncIterator[Target]:
    """A target on an empty database."""
    story = Story()
    story.mint(7, OWN.raw).mint(8, BOB)
    story.give(7, BOB, 1, value=10).give(8, OWN.raw, 1, value=80)
    story.ask_validation(7, b"mine", OWN.raw)
    await story.write(url)
    chain = AnyChain()
    chain.owner = OWN.raw
    paid = chain.payments.pay("paid", 1, Move(PAYER.raw, OWN.raw))
    async with acting_api(url, **given) as api:
        desk = api.app.state.desk
        desk.writers = {DEVNET_CHAIN_ID: chain}
        desk.signer = LocalSigner.from_keys([SERVED_KEY])
        desk.signer_is_open = True
        me, other = await give_account(api.pool), await give_account(api.pool)
        async with api.pool.transaction() as tx:
            await add_wallet(tx, me.account.account_id, OWN.raw, 0, "signature")
        made = Target(api, chain, me, other, _writes(paid, keccak(b"mine"), chain.time))
        body = {"chain": "devnet", "from": OWN.address, "uri": "ipfs://x"}
        answer = await api.client.post("/v1/agents", json=body, headers=me.headers)
        operation = f"/v1/operations/{answer.raise_for_status().json()['id']}"
        made.writes |= {
            "transactions": ("POST", f"{operation}/transactions", {"transactions": ["0x02c0"]}),
            "signature": ("POST", f"{operation}/signature", {"signature": "0x" + "11" * 65}),
        }
        yield made


def _writes(
    paid: bytes, asked: bytes, chain_time: int
) -> dict[str, tuple[str, str, dict[str, Any]]]:
    sender = {"from": OWN.address}
    return {
        "register": ("POST", "/v1/agents", {**sender, "chain": "devnet", "uri": "ipfs://x"}),
        "update": ("PATCH", AGENT, {**sender, "metadata": {"a": "b"}}),
        "wallet": ("POST", f"{AGENT}/wallet", {**sender, "wallet": NEW_WALLET.address}),
        "feedback": ("POST", "/v1/agents/31337:8/feedback", {**sender, "value": 5, "decimals": 1}),
        "revoke": ("DELETE", f"/v1/agents/31337:8/feedback/{OWN.address}/1", dict(sender)),
        "response": (
            *("POST", f"{AGENT}/feedback/0x{BOB.hex()}/1/responses"),
            {**sender, "uri": "ipfs://y"},
        ),
        "validation": (
            *("POST", f"{AGENT}/validations"),
            {**sender, "validator": PAYER.address, "uri": "ipfs://z", "request_hash": REQUEST_HASH},
        ),
        "verdict": ("POST", f"/v1/validations/0x{asked.hex()}/response", {**sender, "response": 9}),
        "filed": (
            *("POST", "/v1/agents"),
            {
                **sender,
                "chain": "devnet",
                "file": REGISTRATION,
                "store": "hosted",
                "names_itself": True,
                "metadata": {"k": {"hex": "0x00"}},
            },
        ),
        "rated": (
            *("POST", "/v1/agents/31337:8/feedback"),
            {
                **sender,
                "value": "9.5",
                "tag1": "starred",
                "tag2": "",
                "endpoint": "https://e.example",
                "file": {"text": "good", "more": {"deep": [1, "x"]}},
                "proof_of_payment": {
                    "tx_hash": f"0x{paid.hex()}",
                    "chain_id": 31337,
                    "from": PAYER.address,
                    "to": OWN.address,
                },
            },
        ),
        "signed": (
            *("POST", f"{AGENT}/wallet"),
            {
                **sender,
                "wallet": NEW_WALLET.address,
                "deadline": chain_time + 100,
                "signature": "0x" + "11" * 65,
            },
        ),
        "relayed": (
            *("POST", "/v1/agents"),
            {"chain": "devnet", "mode": "relay", "transactions": ["0x02c0"]},
        ),
        "settled": (
            *("POST", f"{AGENT}/payments"),
            {
                "chain": "eip155:31337",
                "settlement": {
                    "success": True,
                    "transaction": f"0x{paid.hex()}",
                    "network": "eip155:31337",
                    "payer": PAYER.address,
                },
                "log_index": 0,
            },
        ),
        "payment": ("POST", f"{AGENT}/payments", {"tx_hash": f"0x{paid.hex()}"}),
        "key": ("POST", "/v1/keys", {"name": "n", "scopes": ["read"], "expires_in_days": 1}),
        "rotate": ("POST", "/v1/keys/00000000/rotate", {"overlap_seconds": 5}),
        "challenge": ("POST", "/v1/account/wallets/challenge", {"address": OWN.address}),
        "prove": ("POST", "/v1/account/wallets", {"message": "m", "signature": "0x11"}),
        "sign-in": ("POST", "/v1/sessions/challenge", {"address": OWN.address, "chain_id": 1}),
        "session": ("POST", "/v1/sessions", {"message": "m", "signature": "0x11"}),
        "batch": ("POST", "/v1/agents/batch", {"keys": ["31337:7"]}),
    }


@contextmanager
def quiet_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing in the block may write a stack trace, or an error, into the log."""
    caplog.clear()
    with caplog.at_level(logging.WARNING), capture_logs() as events:
        yield
    loud = [one for one in events if one["log_level"] == "error" or "exc_info" in one]
    assert not loud, loud
    assert not [one for one in caplog.records if one.exc_info or one.levelno >= logging.ERROR]


def require_problem(answer: httpx.Response, said: str = "") -> dict[str, Any]:
    """A refusal of the 4xx kind that tells why, and shows nothing of our insides."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert len(problem["detail"]) > 5, problem
    assert len(answer.content) < 4096 + len(answer.request.url.raw_path), len(answer.content)
    for inside in ("Traceback", 'File "', "asyncpg", "psycopg", "msgspec", "SELECT ", "INSERT "):
        assert inside not in answer.text, answer.text
    assert said in problem["detail"], problem
    return problem
