"""What the API prepared, held against what was asked. Pure.

The API is not trusted with what a wallet signs: the plan is made once more on this side, and only
transactions that are its calls, byte for byte, are signed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from renown.derive.operation import AwaitsAgentId, PlannedStep
from renown.derive.plan import call_step, fill_agent_id
from renown.errors import BadAddress, RenownError, TransactionRefused
from renown.sdk import Operation, OperationTransaction
from renown.spec import calls
from renown.spec.deployments import DEPLOYMENTS, Deployment
from renown.spec.transactions import UnsignedTransaction
from renown.spec.typed_data import agent_wallet_set
from renown.types import AgentRef, parse_address, parse_agent_key

MOST_DEARER = 2
"""How many times the fee shown a transaction may offer when it is signed: fees move."""
MOST_GAS = 30_000_000
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PLAIN_BASE = re.compile(rb"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~%/-]*)?")


def read_unsigned(prepared: OperationTransaction) -> UnsignedTransaction:
    """A prepared transaction from its JSON (`eth_sendTransaction`).

    Raises:
        TransactionRefused: it is not there, not of type 2, sends ether, or cannot be read.
    """
    said = prepared.unsigned
    if said is None:
        raise TransactionRefused(f"transaction {prepared.step} is not prepared yet")
    try:
        if said.get("type", "0x2") != "0x2" or said.get("accessList"):
            raise TransactionRefused(f"transaction {prepared.step} is of another type")
        found = UnsignedTransaction(
            chain_id=int(said["chainId"], 16),
            sender=parse_address(said["from"]),
            to=parse_address(said["to"]),
            calldata=bytes.fromhex(said["data"].removeprefix("0x")),
            nonce=int(said["nonce"], 16),
            gas=int(said["gas"], 16),
            max_fee_wei=int(said["maxFeePerGas"], 16),
            priority_fee_wei=int(said["maxPriorityFeePerGas"], 16),
            value_wei=int(said.get("value", "0x0"), 16),
        )
    except (KeyError, TypeError, ValueError, AttributeError, BadAddress):
        raise TransactionRefused(f"transaction {prepared.step} cannot be read") from None
    if found.value_wei != 0:
        raise TransactionRefused(f"transaction {prepared.step} would send ether away")
    if not 0 < found.gas <= MOST_GAS or found.priority_fee_wei > found.max_fee_wei:
        raise TransactionRefused(f"transaction {prepared.step} has odd gas or fees")
    return found


def cost_wei(transactions: Sequence[OperationTransaction]) -> int:
    """The most that those of them cost that are known."""
    known = [read_unsigned(one) for one in transactions if one.unsigned is not None]
    return sum(one.gas * one.max_fee_wei for one in known)


def check(
    told: Operation,
    wanted: Sequence[PlannedStep],
    on: Deployment,
    sender: bytes,
    *,
    ours: bool = True,
) -> None:
    """The API's plan is the one that was asked for.

    Args:
        ours: we are to sign it. What the server signs may hold a signature that only it knows.

    Raises:
        TransactionRefused: another chain, sender, contract, call or number of them; says which.
    """
    if told.chain_id != on.chain_id:
        raise TransactionRefused(f"the API answers for chain {told.chain_id}")
    if len(told.transactions) != len(wanted):
        raise TransactionRefused(
            f"the API makes {len(told.transactions)} transactions of what is {len(wanted)}"
        )
    for prepared, step in zip(told.transactions, wanted, strict=True):
        if prepared.function != step.function:
            raise _another(prepared, "function")
        if parse_address(prepared.contract) != step.contract:
            raise _another(prepared, "contract")
        if prepared.unsigned is None:
            continue
        unsigned = read_unsigned(prepared)
        if unsigned.chain_id != on.chain_id:
            raise _another(prepared, "chain")
        if unsigned.sender != sender:
            raise _another(prepared, "sender")
        if unsigned.to != step.contract:
            raise _another(prepared, "contract")
        if (ours or step.template is None) and not _is_call(unsigned.calldata, step, told, on):
            raise _another(prepared, "call")


def check_by_itself(prepared: OperationTransaction, told: Operation, sender: bytes) -> str:
    """What a transaction does, in a sentence of our own, where nobody here knows what was asked.

    Raises:
        TransactionRefused: it is no call of an official registry, or not by this wallet.
    """
    unsigned = read_unsigned(prepared)
    on = DEPLOYMENTS.get(unsigned.chain_id)
    if on is None or told.chain_id != unsigned.chain_id or unsigned.to not in on.contracts:
        raise _another(prepared, "contract")
    if unsigned.sender != sender:
        raise _another(prepared, "sender")
    try:
        return call_step(on, unsigned.to, unsigned.calldata).summary
    except ValueError:
        raise _another(prepared, "call") from None


def highest_fee_wei(transactions: Sequence[OperationTransaction]) -> int:
    """The most that any of them offers per unit of gas; 0 where none is known."""
    return max((read_unsigned(one).max_fee_wei for one in transactions if one.unsigned), default=0)


def check_fee(shown_wei: int, asked: Sequence[OperationTransaction]) -> None:
    """What is signed offers about as much per unit of gas as was shown, `shown_wei`.

    Raises:
        TransactionRefused: far more.
    """
    if highest_fee_wei(asked) > MOST_DEARER * shown_wei:
        raise TransactionRefused("fees have risen far beyond what was shown: start again")


def check_typed_data(
    told: Operation, on: Deployment, agent_id: int, wallet: bytes
) -> tuple[bytes, int]:
    """What the new wallet is to sign says that it becomes the wallet of this agent, and no more.

    Returns:
        The owner and the deadline that it names. A wrong owner makes a signature worth nothing.

    Raises:
        TransactionRefused: it says something else.
    """
    try:
        message = (told.typed_data or {})["message"]
        owner, deadline = parse_address(message["owner"]), int(message["deadline"])
    except (KeyError, TypeError, ValueError, RenownError):
        raise TransactionRefused("the API wants something signed that cannot be read") from None
    wanted = agent_wallet_set(on.chain_id, on.identity, agent_id, wallet, owner, deadline)
    if told.typed_data != wanted:
        raise TransactionRefused(
            "the API wants the new wallet to sign something else. Nothing was signed"
        )
    return owner, deadline


def hosted_base(told: Operation) -> str | None:
    """Where the API says it hosts the file that a transaction names; None where none does.

    The address of the host is all of a hosted file that is left to the API: its name is its hash.

    Raises:
        TransactionRefused: that is no plain address, which could hold another file by itself.
    """
    for prepared in told.transactions:
        if prepared.unsigned is None:
            continue
        try:
            uri = calls.read_call(read_unsigned(prepared).calldata).arguments.get("uri", b"")
        except ValueError:
            continue
        base, found, _ = uri.partition(b"/v1/files/")
        if found:
            if _PLAIN_BASE.fullmatch(base) is None:
                raise TransactionRefused(
                    f"transaction {prepared.step} of the API names no plain http(s) address of a "
                    "file. Nothing was signed"
                )
            return str(base, "ascii")
    return None


def is_same_site(one_url: str, other_url: str) -> bool:
    """Whether two URLs have one origin; all names of this machine are one."""
    one, other = _origin(one_url), _origin(other_url)
    return one is not None and one == other


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    host = "localhost" if parts.hostname in LOOPBACK else parts.hostname
    return parts.scheme, host, port


def _is_call(calldata: bytes, step: PlannedStep, told: Operation, on: Deployment) -> bool:
    if step.template is None:
        return calldata == step.calldata
    if not isinstance(step.template, AwaitsAgentId) or told.agent is None:
        return False  # a wallet's call is known whole once the wallet has signed
    key = parse_agent_key(told.agent.key)
    return isinstance(key, AgentRef) and _names_itself(calldata, step.template, key.agent_id, on)


def _names_itself(calldata: bytes, template: AwaitsAgentId, agent_id: int, on: Deployment) -> bool:
    return calldata == fill_agent_id(template, agent_id, on.chain_id, on.identity)[0]


def _another(prepared: OperationTransaction, what: str) -> TransactionRefused:
    return TransactionRefused(
        f"transaction {prepared.step} of the API is not the one asked for: another {what}. "
        "Nothing was signed"
    )
