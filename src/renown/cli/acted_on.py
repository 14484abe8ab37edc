"""The agent that a command acts on, and files that it writes about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from renown.derive.files import Content, File, Link
from renown.errors import AgentNotFound, BadParameter, ChainNotFound
from renown.sdk import Client
from renown.sdk.problems import ApiUnavailable
from renown.spec.deployments import DEPLOYMENTS, Deployment, find
from renown.types import AgentRef, parse_address, parse_agent_key

MOST_FILE_BYTES = 256 * 1024


class ActedOn(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as the API tells of it: its name is checked, the rest is taken on its word.

    `wallet_state` says why there is a wallet, or why not (`proved`, `default`, `cleared`, …).
    """

    ref: AgentRef
    on: Deployment
    owner: bytes
    wallet: bytes | None
    wallet_state: str

    @property
    def path(self) -> str:
        """Of the API."""
        return f"/v1/agents/{self.ref.chain_id}:{self.ref.agent_id}"


class _Agent(msgspec.Struct):
    key: str
    owner: str
    wallet: str | None = None
    wallet_state: str = ""


async def find_agent(api: Client, text: str) -> ActedOn:
    """The agent that `text` names.

    Raises:
        BadAgentKey: no form of a name.
        AgentNotFound: as the API says, or it is one of another registry than the official ones.
        ApiUnavailable: the answer is about another agent.
    """
    wanted = parse_agent_key(text)
    body = await api.get(f"/v1/agents/{text.strip()}")
    try:
        told = msgspec.convert(body, _Agent)
        ref = parse_agent_key(told.key)
        owner = parse_address(told.owner)
        wallet = parse_address(told.wallet) if told.wallet else None
    except (msgspec.ValidationError, ValueError):
        raise ApiUnavailable("the answer is no agent: is that the API?") from None
    if not isinstance(ref, AgentRef) or not _is(ref, wanted):
        raise ApiUnavailable("the API answers about another agent than it was asked for")
    on = DEPLOYMENTS.get(ref.chain_id)
    if on is None or ref.registry != on.identity:
        raise AgentNotFound("it is not of an official registry", key=text)
    return ActedOn(ref=ref, on=on, owner=owner, wallet=wallet, wallet_state=told.wallet_state)


def chain_named(text: str | None, default: str | None = None) -> Deployment:
    """The chain to act on; the settings' first by default. Raises BadParameter if it is none."""
    from renown.cli.runtime import load

    try:
        return find(text or default or load().chains[0])
    except ChainNotFound as exc:
        raise BadParameter(f"--chain: {exc.detail}") from None


def content_of(source: str | None, *, hosted: bool) -> Content:
    """What `source` names: a URI, a JSON file (`-`: stdin), or nothing.

    Raises:
        BadParameter: neither, or the file is not a JSON object.
    """
    if source is None:
        return Link()
    path = Path(source)
    if source == "-" or path.is_file():
        return File(json_object(source), hosted=hosted)
    if ":" not in source:
        raise BadParameter(f"{source}: no such file, and no URI either")
    if hosted:
        raise BadParameter("--hosted is for files: a URI is hosted where it says")
    return Link(source.encode())


def as_body(content: Content) -> dict[str, Any]:
    """`content` as the API's bodies have it."""
    if isinstance(content, File):
        return {"file": content.fields, "store": "hosted" if content.hosted else "inline"}
    return {"uri": content.uri.decode()} if content.uri else {}


def json_object(source: str) -> dict[str, Any]:
    """The JSON object in a file; `-` is stdin. Raises BadParameter."""
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(MOST_FILE_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                raw = file.read(MOST_FILE_BYTES + 1)
    except OSError as exc:
        raise BadParameter(f"{source}: {exc.strerror}") from None
    if len(raw) > MOST_FILE_BYTES:
        raise BadParameter(f"{source}: more than {MOST_FILE_BYTES // 1024} KiB")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise BadParameter(f"{source}: no JSON object ({exc})") from None


def entries(pairs: list[str] | None) -> tuple[tuple[bytes, bytes], ...]:
    """`key=value` pairs as metadata. Raises BadParameter."""
    found = []
    for pair in pairs or ():
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise BadParameter(f"--metadata {pair}: write KEY=VALUE")
        found.append((key.encode(), value.encode()))
    return tuple(found)


def _is(ref: AgentRef, wanted: object) -> bool:
    if isinstance(wanted, UUID):
        return ref.uuid == wanted
    if isinstance(wanted, AgentRef):
        return ref == wanted
    chain_id, agent_id = getattr(wanted, "chain_id", None), getattr(wanted, "agent_id", None)
    return (ref.chain_id, ref.agent_id) == (chain_id, agent_id)
