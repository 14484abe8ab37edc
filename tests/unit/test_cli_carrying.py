"""A write from the plan to the block, against an API that changes its mind."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import typer

from renown.chain.devnet.wallets import devnet_wallet
from renown.chain.tx.signed import read_signed
from renown.chain.tx.signer import LocalSigner
from renown.cli.acting import Actor, How
from renown.cli.carrying import Asked, carry_out, ether
from renown.derive.files import File
from renown.derive.plan import plan
from renown.derive.writes import GiveFeedback, Register, Write
from renown.errors import EX_DATAERR, BadParameter, TransactionRefused
from renown.spec.deployments import DEPLOYMENTS
from renown.spec.transactions import UnsignedTransaction, as_json
from renown.types import checksum_address

DEVNET, BASE = DEPLOYMENTS[31337], DEPLOYMENTS[8453]
US = devnet_wallet(0)
RATING = GiveFeedback(value=95, tag1=b"starred")
LIE = GiveFeedback(value=1, tag1=b"starred")


class Api:
    """Answers with what it is given, in order; keeps what it was asked."""

    url = "https://renown.example"

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, str, Any, str | None]] = []

    async def send(self, method: str, path: str, *, body: Any, key: str | None = None) -> Any:
        self.asked.append((method, path, body, key))
        return self._answers.pop(0)

    async def post(self, path: str, body: Any, *, key: str | None = None) -> Any:
        return await self.send("POST", path, body=body, key=key)

    async def get(self, path: str, **_: Any) -> Any:
        return await self.send("GET", path, body=None)


def told(write: Write, *, fee_wei: int = 10**9, **other: Any) -> dict[str, Any]:
    [step] = plan(write, DEVNET, 5).steps
    assert step.calldata is not None
    unsigned = UnsignedTransaction(
        chain_id=31337,
        sender=US.address,
        to=step.contract,
        calldata=step.calldata,
        nonce=3,
        gas=200_000,
        max_fee_wei=fee_wei,
        priority_fee_wei=1,
    )
    transaction = {
        "step": 1,
        "state": "prepared",
        "function": step.function,
        "contract": checksum_address(step.contract),
        "summary": step.summary,
        "unsigned": as_json(unsigned),
    }
    return {
        "kind": "feedback",
        "mode": "client",
        "chain_id": 31337,
        "sender": checksum_address(US.address),
        "transactions": [transaction],
        **other,
    }


def begun(write: Write, **other: Any) -> dict[str, Any]:
    return told(write, **{"id": "op", "state": "prepared", "next": "sign", **other})


def moved(state: str, following: str | None, **step: Any) -> dict[str, Any]:
    answer = begun(RATING, state=state, next=following)
    answer["transactions"] = [
        {**answer["transactions"][0], "unsigned": None, "state": state, **step}
    ]
    return answer


def actor(api: Api, **how: Any) -> Actor:
    signer = LocalSigner.from_keys([US.private_key])
    given = How(**{"yes": True, **how})
    return Actor(
        api=api,  # type: ignore[arg-type]
        address=US.address,
        signer=signer,
        devnet_only=True,
        how=given,
    )


def asked() -> Asked:
    return Asked(
        method="POST",
        path="/v1/agents/31337:5/feedback",
        body={"value": 95},
        write=RATING,
        on=DEVNET,
        agent_id=5,
    )


async def test_carry_out__as_planned__signs_relays_and_waits(capsys: Any) -> None:
    api = Api(told(RATING), begun(RATING), moved("submitted", "wait"), moved("included", "wait"))

    assert await carry_out(actor(api), asked()) == 0

    (_, _, dry, no_key), (_, _, real, key), (_, path, relayed, other), _ = api.asked
    assert dry["dry_run"] is True
    assert no_key is None
    assert real.get("dry_run") is None
    assert real["from"] == checksum_address(US.address)
    assert key is not None
    assert other not in (None, key)
    assert path == "/v1/operations/op/transactions"
    signed = read_signed(bytes.fromhex(relayed["transactions"][0][2:]))
    assert (signed.sender, signed.nonce) == (US.address, 3)
    assert "included" in capsys.readouterr().out


@pytest.mark.parametrize(
    "answers",
    [
        (told(LIE),),
        (told(RATING), begun(LIE)),
        (told(RATING), begun(RATING, fee_wei=10**10)),
        (told(RATING), begun(RATING, chain_id=1)),
        (told(RATING), begun(RATING, transactions=[])),
    ],
    ids=["lies at once", "lies later", "fees rise", "another chain", "nothing to sign"],
)
async def test_carry_out__the_api_prepares_something_else__signs_nothing(
    answers: tuple[dict[str, Any], ...],
) -> None:
    api = Api(*answers)

    with pytest.raises(TransactionRefused):
        await carry_out(actor(api), asked())

    assert not any(path.endswith("/transactions") for _, path, _, _ in api.asked)


async def test_carry_out__dry_run__asks_for_nothing_to_be_done(capsys: Any) -> None:
    api = Api(told(RATING))

    assert await carry_out(actor(api, dry_run=True), asked()) == 0

    assert len(api.asked) == 1
    assert "giveFeedback" in capsys.readouterr().out


async def test_carry_out__the_answer_is_no__nothing_is_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    api = Api(told(RATING))

    with pytest.raises(typer.Abort):
        await carry_out(actor(api, yes=False), asked())

    assert len(api.asked) == 1


async def test_carry_out__failed_on_the_chain__says_why_and_how_to_go_on(capsys: Any) -> None:
    failed = moved("failed", "resume", reason="Already revoked")
    api = Api(told(RATING), begun(RATING), moved("submitted", "wait"), failed)

    assert await carry_out(actor(api), asked()) == EX_DATAERR

    said = capsys.readouterr().err
    assert "Already revoked" in said
    assert "renown operation op --resume" in said


async def test_carry_out__failed_in_a_block__says_when_to_go_on(capsys: Any) -> None:
    failed = moved("failed", "resume", reason="out of gas", block_number=7)
    api = Api(told(RATING), begun(RATING), moved("submitted", "wait"), failed)

    assert await carry_out(actor(api), asked()) == EX_DATAERR

    assert "--resume` tries the rest when block 7 is final" in capsys.readouterr().err


async def test_carry_out__not_waiting__leaves_once_it_is_relayed() -> None:
    api = Api(told(RATING), begun(RATING), moved("submitted", "wait"))

    assert await carry_out(actor(api, wait="none"), asked()) == 0

    assert len(api.asked) == 3


async def test_carry_out__the_api_never_has_enough__signs_each_transaction_once() -> None:
    api = Api(told(RATING), begun(RATING), *[begun(RATING)] * 5)

    await carry_out(actor(api), asked())

    assert sum(path.endswith("/transactions") for _, path, _, _ in api.asked) == 1


async def test_carry_out__a_wallet_everybody_has__signs_for_the_devnet_only() -> None:
    api = Api()

    with pytest.raises(BadParameter, match="everybody's"):
        await carry_out(actor(api), msgspec.structs.replace(asked(), on=BASE))

    assert api.asked == []


@pytest.mark.parametrize(
    ("wei", "text"),
    [(0, "0"), (1, "0.000000000000000001"), (10**18, "1"), (1_500_000_000_000_000_000, "1.5")],
)
def test_ether__any_amount__is_exact(wei: int, text: str) -> None:
    assert ether(wei) == text


AT = "https://renown.example"
REGISTRATION = Register(content=File({"name": "Ada"}, hosted=True))


def hosted(base: str, name: str = "Ada") -> Register:
    return Register(content=File({"name": name}, hosted=True, base_url=base))


def asked_to_register() -> Asked:
    return Asked(method="POST", path="/v1/agents", body={}, write=REGISTRATION, on=DEVNET)


async def registered(*writes: Register, **how: Any) -> Api:
    answers = [told(write, id="op", state="prepared", next="sign") for write in writes]
    api = Api(*answers, moved("submitted", "wait"), moved("included", "wait"))
    await carry_out(actor(api, **how), asked_to_register())
    return api


def is_signed(api: Api) -> bool:
    return any(path.endswith("/transactions") for _, path, _, _ in api.asked)


async def test_carry_out__when_the_file_is_hosted_by_the_api__then_signed() -> None:
    assert is_signed(await registered(hosted(AT), hosted(AT)))


@pytest.mark.parametrize(
    "writes",
    [
        (hosted(AT, "Eve"),),
        (hosted("https://evil.example"),),
        (hosted(AT), hosted("https://evil.example")),
        (hosted(AT), hosted(f"{AT}/other")),
        (hosted("data:application/json,%7B%7D#"),),
    ],
    ids=["another file", "elsewhere", "elsewhere later", "moved later", "a file of its own"],
)
async def test_carry_out__when_the_file_would_not_be_ours_at_the_api__then_nothing_is_signed(
    writes: tuple[Register, ...],
) -> None:
    with pytest.raises(TransactionRefused):
        await registered(*writes)


async def test_carry_out__when_it_is_hosted_elsewhere_and_the_user_agrees__then_signed_once_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    questions: list[str] = []

    def answer(question: str, **_: Any) -> bool:
        questions.append(question)
        return True

    monkeypatch.setattr(typer, "confirm", answer)
    elsewhere = hosted("https://files.example")
    assert is_signed(await registered(elsewhere, elsewhere, yes=False))
    assert questions == ["Is that right?", "Sign and send?"]
    assert "https://files.example" in capsys.readouterr().err

    monkeypatch.setattr(typer, "confirm", lambda *_, **__: False)
    with pytest.raises(typer.Abort):
        await registered(elsewhere, yes=False)
