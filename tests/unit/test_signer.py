"""Signers: keys stay inside, keystores open, and a remote signer is believed only after a look."""

from __future__ import annotations

import json
import traceback
from typing import Any

import coincurve
import msgspec
import pytest

from renown.chain.accounts import Account
from renown.chain.signatures import personal_digest, recover_signature
from renown.chain.transport import Answer
from renown.chain.tx.signed import is_exactly, read_signed, sign_with
from renown.chain.tx.signer import LocalSigner, RemoteSigner, typed_data_digest
from renown.errors import SignerError
from renown.spec.transactions import UnsignedTransaction
from renown.spec.typed_data import agent_wallet_digest, agent_wallet_set

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
SENDER = bytes.fromhex("f39fd6e51aad88f6f4ce6ab8827279cfffb92266")
OTHER_KEY = bytes.fromhex("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d")
OTHER = bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8")
TO = bytes.fromhex("8004a818bfb912233c491871b3d84c89a494bd9e")
WANTED = UnsignedTransaction(
    chain_id=31337,
    sender=SENDER,
    to=TO,
    calldata=b"\x01",
    nonce=7,
    gas=200_000,
    max_fee_wei=3 * 10**9,
    priority_fee_wei=10**9,
)
TYPED = (31337, TO, 22, SENDER, OTHER, 1767225600)


async def test_local__a_transaction_and_typed_data__are_signed_by_their_wallet():
    signer = LocalSigner.from_keys([KEY, OTHER_KEY])

    raw = await signer.sign(WANTED)
    signature = await signer.sign_typed_data(OTHER, agent_wallet_set(*TYPED))

    assert signer.addresses == (SENDER, OTHER)
    assert is_exactly(read_signed(raw), WANTED)
    assert recover_signature(agent_wallet_digest(*TYPED), signature, strict=True) == OTHER


async def test_local__a_message__is_signed_as_wallets_sign_it():
    signature = await LocalSigner.from_keys([KEY]).sign_message(SENDER, b"sign in")

    assert recover_signature(personal_digest(b"sign in"), signature, strict=True) == SENDER


async def test_local__wallet_of_somebody_else__is_refused_by_name():
    signer = LocalSigner.from_keys([OTHER_KEY])

    with pytest.raises(SignerError, match="0xf39Fd6e5"):
        await signer.sign(WANTED)
    with pytest.raises(SignerError, match="0xf39Fd6e5"):
        await signer.sign_typed_data(SENDER, agent_wallet_set(*TYPED))


@pytest.mark.parametrize("key", [b"", bytes(32), b"\xff" * 32, KEY + b"\0"])
def test_local__no_key__is_refused_without_telling_it(key):
    with pytest.raises(SignerError, match="private key 2") as caught:
        LocalSigner.from_keys([KEY, key])

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_local__shown__has_addresses_only():
    signer = LocalSigner.from_keys([KEY])

    assert "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266" in repr(signer)
    assert KEY.hex() not in f"{signer!r} {vars(signer)!r}"


def keystore(tmp_path, key: bytes = KEY, *, name: str = "wallet.json", kdf: Any = "scrypt"):
    path = tmp_path / name
    made = Account.encrypt(key, "correct horse", kdf=kdf, iterations=2)
    path.write_text(json.dumps(made))
    return path


async def test_keystores__right_password__give_their_wallets_in_order(tmp_path):
    paths = [
        keystore(tmp_path, OTHER_KEY, name="a.json", kdf="pbkdf2"),
        keystore(tmp_path, KEY, name="b.json"),
    ]

    signer = await LocalSigner.from_keystores(paths, "correct horse")

    assert signer.addresses == (OTHER, SENDER)


async def test_keystores__wrong_password__names_the_file_and_nothing_else(tmp_path):
    with pytest.raises(SignerError, match=r"password does not open .*wallet\.json") as caught:
        await LocalSigner.from_keystores([keystore(tmp_path)], "battery staple")

    assert "battery" not in caught.value.detail
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 3}', '{"version": 3, "crypto": []}', "x" * 70_000]
)
async def test_keystores__another_file__is_none(tmp_path, content):
    path = tmp_path / "wallet.json"
    path.write_text(content)

    with pytest.raises(SignerError, match="not a keystore"):
        await LocalSigner.from_keystores([path], "correct horse")


async def test_keystores__missing_file__says_so(tmp_path):
    with pytest.raises(SignerError, match="No such file"):
        await LocalSigner.from_keystores([tmp_path / "nowhere.json"], "")


class Remote:
    """A signer behind JSON-RPC that may lie. `answers` is by method: a value, or what makes one."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {"eth_accounts": [f"0x{SENDER.hex()}"], **answers}
        self.asked: list[Any] = []

    async def post(self, body: bytes, *, max_bytes: int) -> Answer:
        request = msgspec.json.decode(body)
        self.asked.append(request)
        answer = self.answers[request["method"]]
        reply = {"jsonrpc": "2.0", "id": request["id"]}
        if isinstance(answer, Exception):
            reply["error"] = {"code": -32000, "message": str(answer)}
        else:
            reply["result"] = answer
        return Answer(200, msgspec.json.encode(reply))

    async def close(self) -> None: ...


async def remote(**answers: Any) -> tuple[RemoteSigner, Remote]:
    behind = Remote(**answers)
    signer = RemoteSigner("https://signer.test/key/hushhushhush", transport=behind)
    await signer.start()
    return signer, behind


def signed(key: bytes = KEY, **changed: Any) -> str:
    transaction = msgspec.structs.replace(WANTED, **changed)
    return f"0x{sign_with(coincurve.PrivateKey(key), transaction).hex()}"


@pytest.mark.parametrize("wrapped", [False, True])
async def test_remote__honest__its_bytes_are_taken_in_either_shape(wrapped):
    raw = signed()
    answer = {"raw": raw, "tx": {}} if wrapped else raw
    signer, behind = await remote(eth_signTransaction=answer)

    assert signer.addresses == (SENDER,)
    assert (await signer.sign(WANTED)).hex() == raw[2:]
    (asked,) = behind.asked[-1]["params"]
    assert (asked["from"], asked["nonce"], asked["chainId"]) == (
        f"0x{SENDER.hex()}",
        "0x7",
        "0x7a69",
    )


LIES: dict[str, dict[str, Any]] = {
    "another receiver": {"to": OTHER},
    "another chain": {"chain_id": 1},
    "another nonce": {"nonce": 8},
    "more gas": {"gas": 200_001},
    "a dearer fee": {"max_fee_wei": 4 * 10**9},
    "a dearer tip": {"priority_fee_wei": 2 * 10**9},
    "some ether": {"value_wei": 1},
    "other calldata": {"calldata": b"\x02"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_remote__signs_something_else__is_not_trusted(lie):
    signer, _ = await remote(eth_signTransaction=signed(**LIES[lie]))

    with pytest.raises(SignerError, match="another transaction"):
        await signer.sign(WANTED)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (signed(OTHER_KEY, sender=OTHER), "another transaction"),
        ("0x", "empty"),
        ("0x02c201", "cannot be read"),
        ("0xzz", "hexadecimal"),
        ("02", "hexadecimal"),
        (None, "hexadecimal"),
        ([], "hexadecimal"),
        ({"raw": 7}, "hexadecimal"),
        ({"tx": {}}, "hexadecimal"),
        (ValueError("locked; see hushhushhush"), "locked"),
    ],
)
async def test_remote__nonsense__is_an_error_without_its_secret(answer, said):
    signer, _ = await remote(eth_signTransaction=answer)

    with pytest.raises(SignerError, match=said) as caught:
        await signer.sign(WANTED)

    assert "hushhushhush" not in "".join(traceback.format_exception(caught.value))
    assert "hushhushhush" not in repr(signer)


async def test_remote__wallet_it_does_not_have__is_not_asked_for():
    signer, behind = await remote()

    with pytest.raises(SignerError, match="no key"):
        await signer.sign(msgspec.structs.replace(WANTED, sender=OTHER))
    assert [request["method"] for request in behind.asked] == ["eth_accounts"]


@pytest.mark.parametrize("v", [0, 27])
async def test_remote__typed_data__is_checked_and_in_the_contracts_form(v):
    typed_data = agent_wallet_set(*TYPED)
    good = await LocalSigner.from_keys([KEY]).sign_typed_data(SENDER, typed_data)
    answer = f"0x{(good[:64] + bytes([good[64] - 27 + v])).hex()}"
    signer, _ = await remote(eth_signTypedData_v4=answer)

    assert await signer.sign_typed_data(SENDER, typed_data) == good


@pytest.mark.parametrize("answer", ["0x", f"0x{bytes(65).hex()}", None])
async def test_remote__typed_data_signed_by_nobody__is_not_trusted(answer):
    signer, _ = await remote(eth_signTypedData_v4=answer)

    with pytest.raises(SignerError, match="cannot be trusted"):
        await signer.sign_typed_data(SENDER, agent_wallet_set(*TYPED))


async def test_remote__odd_accounts__is_an_error():
    with pytest.raises(SignerError, match="oddly"):
        await remote(eth_accounts=["0x12"])
    with pytest.raises(SignerError, match="did not answer"):
        await remote(eth_accounts=[7])


@pytest.mark.parametrize("typed_data", [{}, {"types": {}}, {"types": [], "message": 1}])
def test_typed_data_digest__something_else__is_an_error(typed_data):
    with pytest.raises(SignerError, match="not EIP-712"):
        typed_data_digest(typed_data)
