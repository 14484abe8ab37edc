"""E2: wallets are proved by signing our message, once, for the account and site it names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from renown.errors import Conflict, WalletNotProved, WalletProofRefused, WalletTaken
from renown.spec import siwe
from renown.store.accounts import close_account
from renown.store.pool import connect
from renown.store.wallets import EVERYWHERE, add_wallet, require_wallet
from tests.access import PUBLIC_URL, Api, Holder, Signer, acting_api, bearer, give_account

ALICE, BOB = Signer(0xA11CE), Signer(0xB0B)


@pytest.fixture
async def empty(database_url: str) -> str:
    """The module's database, without accounts."""
    conn = await connect(database_url)
    await conn.execute("TRUNCATE account, wallet_challenge CASCADE")
    await conn.close()
    return database_url


@pytest.fixture
async def api(empty: str) -> AsyncIterator[Api]:
    async with acting_api(empty, sign_up=True) as api:
        yield api


@pytest.fixture
async def holder(api: Api) -> Holder:
    return await give_account(api.pool)


async def asked(api: Api, wallet: Signer, headers: dict[str, str] | None = None) -> str:
    """A message to sign: to add the wallet, or without headers to sign in."""
    path = "/v1/sessions/challenge" if headers is None else "/v1/account/wallets/challenge"
    answer = await api.client.post(path, json={"address": wallet.address}, headers=headers)
    assert answer.status_code == 200, answer.text
    message: str = answer.json()["message"]
    return message


async def sent(
    api: Api, message: str, signature: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    path = "/v1/sessions" if headers is None else "/v1/account/wallets"
    body = {"message": message, "signature": signature}
    return await api.client.post(path, json=body, headers=headers)


def is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 422 and answer.json()["type"] == "/problems/wallet-proof-refused"


async def test_wallet__that_signs_the_message__is_the_accounts_and_may_speak(
    api: Api, holder: Holder
):
    message = await asked(api, ALICE, holder.headers)
    answer = await sent(api, message, ALICE.sign(message), holder.headers)
    account = await api.client.get("/v1/account", headers=holder.headers)

    assert answer.status_code == 201, answer.text
    assert f"Link this wallet to the Renown account {holder.account.uuid}." in message
    assert [wallet["address"] for wallet in account.json()["wallets"]] == [ALICE.address]
    assert answer.json()["chain_id"] is None
    async with api.pool.connection() as conn:
        await require_wallet(conn, holder.account.account_id, 8453, ALICE.raw)
        with pytest.raises(WalletNotProved):
            await require_wallet(conn, holder.account.account_id, 8453, BOB.raw)
        other = await give_account(api.pool)
        with pytest.raises(WalletNotProved):
            await require_wallet(conn, other.account.account_id, 8453, ALICE.raw)


async def test_message__that_was_used__is_used_up_whether_it_worked_or_not(
    api: Api, holder: Holder
):
    message = await asked(api, ALICE, holder.headers)
    assert is_refused(await sent(api, message, BOB.sign(message), holder.headers))
    assert is_refused(await sent(api, message, ALICE.sign(message), holder.headers))

    message = await asked(api, ALICE)
    answers = await asyncio.gather(*(sent(api, message, ALICE.sign(message)) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422]


async def test_message__of_one_purpose_or_account__serves_no_other(api: Api, holder: Holder):
    other = await give_account(api.pool)
    to_link, to_sign_in = await asked(api, ALICE, holder.headers), await asked(api, ALICE)

    assert is_refused(await sent(api, to_link, ALICE.sign(to_link)))
    assert is_refused(await sent(api, to_sign_in, ALICE.sign(to_sign_in), holder.headers))
    again = await asked(api, ALICE, holder.headers)
    assert is_refused(await sent(api, again, ALICE.sign(again), other.headers))


def changed(text: str, **members: Any) -> str:
    return siwe.write(msgspec.structs.replace(siwe.parse(text), **members))


CHANGES: dict[str, Any] = {
    "other domain": lambda text: changed(text, domain="renown.example.evil.example"),
    "other scheme": lambda text: changed(text, scheme="http"),
    "other uri": lambda text: changed(text, uri="https://evil.example"),
    "other account": lambda text: text.replace("Renown account ", "Renown account 1"),
    "no statement": lambda text: changed(text, statement=None),
    "other nonce": lambda text: changed(text, nonce="0123456789abcdef"),
    "other chain": lambda text: changed(text, chain_id=siwe.parse(text).chain_id + 1),
    "other address": lambda text: changed(text, address=BOB.raw),
    "issued in the future": lambda text: changed(
        text, issued_at=siwe.parse(text).issued_at + timedelta(seconds=120)
    ),
    "expired": lambda text: changed(
        text, expiration_time=siwe.parse(text).issued_at - timedelta(seconds=120)
    ),
    "not yet valid": lambda text: changed(
        text, not_before=siwe.parse(text).issued_at + timedelta(seconds=120)
    ),
    "longer valid": lambda text: changed(
        text, expiration_time=siwe.parse(text).issued_at + timedelta(days=9)
    ),
    "unicode domain": lambda text: text.replace("renown.example", "renоwn.example"),
    "crlf in statement": lambda text: text.replace("Link this", "Link\r\nthis"),
    "lf in statement": lambda text: text.replace("Link this", "Link\nthis"),
    "line ends": lambda text: text.replace("\n", "\r\n"),
    "second message": lambda text: text + "\n" + text,
    "trailing line": lambda text: text + "\n",
    "lower case address": lambda text: text.replace(ALICE.address, ALICE.address.lower()),
    "version 2": lambda text: text.replace("Version: 1", "Version: 2"),
    "empty": lambda text: "",
    "nul": lambda text: text.replace("Link", "\0ink"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_message__that_was_changed__is_refused_though_the_wallet_signed_it(
    api: Api, holder: Holder, change: str
):
    message = CHANGES[change](await asked(api, ALICE, holder.headers))

    assert is_refused(await sent(api, message, ALICE.sign(message), holder.headers))
    async with api.pool.connection() as conn:
        assert not await conn.fetchval("SELECT count(*) FROM account_wallet")


@pytest.mark.parametrize(
    "signature", ["0x00", "0x" + "00" * 64, "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "6492" * 16]
)
async def test_signature__that_is_none__is_refused(api: Api, holder: Holder, signature: str):
    message = await asked(api, ALICE, holder.headers)
    assert is_refused(await sent(api, message, signature, holder.headers))


async def test_message__that_is_old__is_refused(api: Api, holder: Holder):
    message = await asked(api, ALICE, holder.headers)
    async with api.pool.transaction() as tx:
        await tx.execute("UPDATE wallet_challenge SET expires_at = now()")

    assert is_refused(await sent(api, message, ALICE.sign(message), holder.headers))


async def test_challenges__nobody_came_back_for__do_not_pile_up(api: Api):
    for _ in range(3):
        await asked(api, ALICE)
        async with api.pool.transaction() as tx:
            await tx.execute("UPDATE wallet_challenge SET expires_at = now() - interval '1 s'")
    await asked(api, ALICE)

    async with api.pool.connection() as conn:
        assert await conn.fetchval("SELECT count(*) FROM wallet_challenge") == 1


async def test_wallet__of_another_account__is_taken_until_it_is_removed_or_closed(
    api: Api, holder: Holder
):
    other, third = await give_account(api.pool), await give_account(api.pool)
    for headers, status in ((holder.headers, 201), (other.headers, 409), (holder.headers, 201)):
        message = await asked(api, ALICE, headers)
        answer = await sent(api, message, ALICE.sign(message), headers)
        assert answer.status_code == status, answer.text

    path = f"/v1/account/wallets/{ALICE.address}"
    assert (await api.client.delete(path, headers=other.headers)).status_code == 404
    assert (await api.client.delete(path, headers=holder.headers)).status_code == 204
    message = await asked(api, ALICE, other.headers)
    assert (await sent(api, message, ALICE.sign(message), other.headers)).status_code == 201
    async with api.pool.transaction() as tx:
        await close_account(tx, other.account.account_id)
        await add_wallet(tx, third.account.account_id, ALICE.raw, EVERYWHERE, "signature")


async def test_contract_wallet__of_one_chain__speaks_there_only(api: Api, holder: Holder):
    other = await give_account(api.pool)
    async with api.pool.transaction() as tx:
        await add_wallet(tx, holder.account.account_id, ALICE.raw, 8453, "erc1271")
        await require_wallet(tx, holder.account.account_id, 8453, ALICE.raw)
        with pytest.raises(WalletNotProved):
            await require_wallet(tx, holder.account.account_id, 1, ALICE.raw)
        await add_wallet(tx, other.account.account_id, ALICE.raw, 1, "erc1271")
        with pytest.raises(WalletTaken):
            await add_wallet(tx, other.account.account_id, ALICE.raw, EVERYWHERE, "signature")


@pytest.mark.parametrize("held_on", [EVERYWHERE, 1])
async def test_contract__saying_yes_on_a_chain__does_not_sign_in_to_who_holds_the_address_elsewhere(
    api: Api, holder: Holder, monkeypatch: pytest.MonkeyPatch, held_on: int
):
    async def by_contract(*_: Any) -> str:
        return "erc1271"

    monkeypatch.setattr("renown.api.access.wallet_challenge.proves", by_contract)
    async with api.pool.transaction() as tx:
        await add_wallet(tx, holder.account.account_id, ALICE.raw, held_on, "signature")
    challenge = {"address": ALICE.address, "chain_id": 8453}
    given = await api.client.post("/v1/sessions/challenge", json=challenge)
    answer = await sent(api, given.json()["message"], "0x00")

    if held_on == EVERYWHERE:
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/wallet-taken")
    else:
        assert answer.json()["account"] != str(holder.account.uuid)
        assert answer.json()["is_new"]


async def test_wallet__added_while_its_account_is_closed__is_not_held_by_the_dead(
    api: Api, holder: Holder
):
    account_id = holder.account.account_id

    async def add() -> None:
        async with api.pool.transaction() as tx:
            await add_wallet(tx, account_id, ALICE.raw, EVERYWHERE, "signature")

    async with api.pool.transaction() as tx:
        await close_account(tx, account_id)
        adding = asyncio.create_task(add())
        done, _ = await asyncio.wait([adding], timeout=0.2)
        assert not done  # it waits for what becomes of the account
    with pytest.raises(Conflict, match="closed"):
        await adding

    async with api.pool.connection() as conn:
        assert not await conn.fetchval("SELECT count(*) FROM account_wallet")


async def test_wallet__proved_for_two_accounts_at_once__goes_to_one(api: Api):
    async def add(holder: Holder, chain_id: int) -> bool:
        try:
            async with api.pool.transaction() as tx:
                await add_wallet(tx, holder.account.account_id, ALICE.raw, chain_id, "signature")
        except WalletTaken:
            return False
        return True

    holders = [await give_account(api.pool) for _ in range(4)]
    won = await asyncio.gather(*(add(one, n % 2) for n, one in enumerate(holders)))

    assert sum(won) == 1


async def test_signing_in__with_a_wallet_nobody_knows__makes_an_account_and_then_finds_it(
    api: Api,
):
    sessions = []
    for _ in range(2):
        message = await asked(api, ALICE)
        answer = await sent(api, message, ALICE.sign(message))
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        sessions.append(answer.json())

    assert [one["is_new"] for one in sessions] == [True, False]
    assert sessions[0]["account"] == sessions[1]["account"]
    left = datetime.fromisoformat(sessions[0]["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=58) < left <= timedelta(hours=1)
    made = await api.client.post(
        "/v1/keys", json={"scopes": ["write"]}, headers=bearer(sessions[0]["key"])
    )
    assert made.status_code == 201
    ended = await api.client.delete(
        f"/v1/keys/{sessions[0]['key_id']}", headers=bearer(sessions[0]["key"])
    )
    assert ended.status_code == 204
    for session, status in zip(sessions, (401, 200), strict=True):
        answer = await api.client.get("/v1/account", headers=bearer(session["key"]))
        assert answer.status_code == status


async def test_signing_in__where_sign_up_is_closed__needs_a_known_wallet(empty: str):
    async with acting_api(empty) as api:
        message = await asked(api, ALICE)
        closed = await sent(api, message, ALICE.sign(message))
        holder = await give_account(api.pool)
        async with api.pool.transaction() as tx:
            await add_wallet(tx, holder.account.account_id, ALICE.raw, EVERYWHERE, "signature")
        message = await asked(api, ALICE)
        known = await sent(api, message, ALICE.sign(message))

        assert (closed.status_code, closed.json()["type"]) == (403, "/problems/sign-up-closed")
        assert known.json()["account"] == str(holder.account.uuid)
        async with api.pool.connection() as conn:
            assert await conn.fetchval("SELECT count(*) FROM account") == 1


async def test_last_wallet__of_an_account_without_a_lasting_key__stays(api: Api):
    message = await asked(api, ALICE)
    session = bearer((await sent(api, message, ALICE.sign(message))).json()["key"])
    path = f"/v1/account/wallets/{ALICE.address}"

    refused = await api.client.delete(path, headers=session)
    await api.client.post("/v1/keys", json={"scopes": ["admin"]}, headers=session)
    done = await api.client.delete(path, headers=session)

    assert (refused.status_code, done.status_code) == (409, 204)


async def test_contract_wallet__that_does_not_answer_well__is_refused_and_kept_nowhere(
    api: Api, holder: Holder, monkeypatch: pytest.MonkeyPatch
):
    async def slow(*_: Any) -> Any:
        raise WalletProofRefused("the contract took too long")

    monkeypatch.setattr("renown.api.access.wallet_challenge.proves", slow)
    message = await asked(api, ALICE, holder.headers)

    assert is_refused(await sent(api, message, "0x00", holder.headers))
    async with api.pool.connection() as conn:
        assert not await conn.fetchval("SELECT count(*) FROM account_wallet")


def test_site__of_the_public_url__is_what_messages_name():
    assert siwe.site(PUBLIC_URL) == siwe.Site("renown.example", PUBLIC_URL, "https")
    assert siwe.site("http://localhost:8004").domain == "localhost:8004"
