"""An agent's new wallet: whose word it takes, and by when it has to be given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from renown.api.acting.bodies import WalletBody
from renown.api.acting.reading import hash_of
from renown.api.acting.signer import signs_typed_data_as
from renown.api.acting.subject import Subject
from renown.api.deps import Desk
from renown.chain.rpc import CallReverted
from renown.derive.operation import AwaitsWalletSignature
from renown.derive.writes import SetWallet, UnsetWallet, refused
from renown.errors import CallWouldFail
from renown.spec import calls, reverts
from renown.spec.calls import MAX_WALLET_DEADLINE_SECONDS
from renown.spec.deployments import Deployment
from renown.spec.typed_data import agent_wallet_set
from renown.types import checksum_address, parse_address

if TYPE_CHECKING:
    from renown.chain.tx.writer import ChainWriter

SIGNING_SECONDS = 280
"""How long a wallet has. The contract takes 300 seconds at most, from the block that it is in."""


def deadline_from(now: int) -> int:
    """The deadline of a signature that is asked for now, on the chain's clock."""
    return now + min(SIGNING_SECONDS, MAX_WALLET_DEADLINE_SECONDS)


async def wallet_of(desk: Desk, body: WalletBody, subject: Subject) -> SetWallet | UnsetWallet:
    """The change that the body asks for. The server's signer signs for wallets of its own, where
    it sends the transaction, too.

    Raises:
        BadBody: no wallet is named, or half of a signature is given.
    """
    if body.wallet is None:
        return UnsetWallet()
    if not isinstance(body.wallet, str):
        raise refused("wallet", "is needed: an address, or null to take the wallet away")
    wallet = parse_address(body.wallet)
    if (body.signature is None) is not (body.deadline is None):
        raise refused("signature", "goes together with the `deadline` that it signs")
    SetWallet(wallet=wallet, owner=wallet, deadline=0).check()  # before anybody is asked
    agent_id = subject.known_agent.agent_id
    owner = await owner_of(subject.writer, agent_id)
    if body.signature is not None and body.deadline is not None:
        signature: bytes | None = hash_of(body.signature)
        return SetWallet(wallet=wallet, owner=owner, deadline=body.deadline, signature=signature)
    deadline = deadline_from(await subject.writer.next_time())
    signature = None
    if subject.mode == "managed":
        template = AwaitsWalletSignature(
            checksum_address(wallet), checksum_address(owner), deadline
        )
        signature = await signed_by_signer(
            desk, subject.account_id, subject.on, subject.known_agent.agent_id, template
        )
    return SetWallet(wallet=wallet, owner=owner, deadline=deadline, signature=signature)


async def owner_of(writer: ChainWriter, agent_id: int) -> bytes:
    """Whose the agent is at the chain's head. The index may be behind, and the signature names
    the owner.

    Raises:
        CallWouldFail: the agent does not exist there.
    """
    call = calls.encode_call("ownerOf(uint256)", agent_id)
    try:
        answer = await writer.call(writer.deployment.identity, call)
    except CallReverted as exc:
        why = reverts.reason(exc.revert_data)
        raise CallWouldFail(f"the contract refuses: {why}", reason=why) from None
    return answer[-20:]


async def signed_by_signer(
    desk: Desk, account_id: int, on: Deployment, agent_id: int, template: AwaitsWalletSignature
) -> bytes | None:
    """The wallet's signature, where the server's signer acts by it for the account; None elsewhere.

    Raises:
        SignerError
    """
    wallet, owner = parse_address(template.new_wallet), parse_address(template.owner)
    if desk.signer is None or not await signs_typed_data_as(desk, account_id, on, wallet):
        return None
    typed_data = agent_wallet_set(
        on.chain_id, on.identity, agent_id, wallet, owner, template.deadline
    )
    return await desk.signer.sign_typed_data(wallet, typed_data)
