"""What `renown lint` looks at: a file, what is behind a URI, or the file of an indexed agent."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from renown.errors import AgentNotFound, BadAgentKey, BadParameter, NotFound
from renown.spec.documents import Document, Finding, Registration, read_document
from renown.spec.documents.json_text import MOST_BYTES
from renown.spec.documents.reading import ALLOWANCES
from renown.spec.findings import FINDINGS, SEVERITIES, Severity, severity
from renown.spec.uris import Uri, parse_uri, read_inline
from renown.types import AgentKey, AgentRef, ShortKey, parse_agent_key

if TYPE_CHECKING:
    from renown.offchain.fetched import Fetched
    from renown.offchain.fetcher import Fetcher
    from renown.store.pool import Conn

Kind = Literal["file", "uri", "agent"]

STDIN = "-"
_URI = re.compile(r"(?:https?|ipfs|ipns|ar|data):|\{", re.IGNORECASE)
_FAILURES = {
    "refused": "uri-refused",
    "too-large": "uri-oversized",
    "unsupported": "uri-unsupported",
    "wrong-content": "content-mismatch",
}


class Named(msgspec.Struct, frozen=True):
    """One thing to lint, and what it was called."""

    name: str
    kind: Kind
    key: AgentKey | None = None


class Linted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        document: None where nothing could be read.
        findings: of the file, of the URI or the agent where one was asked for; worst first.
        missing: why there is nothing to lint; None otherwise.
    """

    named: Named
    document: Document | None = None
    findings: tuple[Finding, ...] = ()
    missing: str | None = None


async def lint_all(
    targets: Iterable[str], *, agent: AgentRef | None = None, chain_id: int | None = None
) -> list[Linted]:
    """Lint one after the other; the network and the database are opened only if one needs them.

    Args:
        agent: whom files must name.
        chain_id: the chain of agents given as a bare number.
    """
    found: list[Linted] = []
    async with AsyncExitStack() as stack:
        conn: Conn | None = None
        fetcher: Fetcher | None = None
        for target in targets:
            one = Named(target, "file")
            try:
                one = named(target, chain_id)
                if one.kind == "file":
                    found.append(lint_file(one, agent))
                elif one.kind == "uri":
                    if fetcher is None:
                        fetcher = await stack.enter_async_context(_fetcher())
                    found.append(await lint_uri(one, agent, fetcher))
                else:
                    if conn is None:
                        conn = await _conn(stack)
                    found.append(await lint_agent(one, conn))
            except NotFound as error:
                found.append(Linted(named=one, missing=error.detail))
    return found


def named(target: str, chain_id: int | None) -> Named:
    """What a word of the command line means; a file of that name wins.

    Args:
        chain_id: the chain of a bare agent number.

    Raises:
        NotFound: no such file, and neither a URI nor an agent key.
    """
    if target == STDIN:
        return Named("stdin", "file")
    if _is_file(target):
        return Named(target, "file")
    if _URI.match(target):
        return Named(target, "uri")
    try:
        if chain_id is not None and re.fullmatch(r"[0-9]{1,19}", target):
            return Named(target, "agent", parse_agent_key(f"{chain_id}:{target}"))
        return Named(target, "agent", parse_agent_key(target))
    except BadAgentKey:
        raise NotFound("no such file, and no URI or agent key", key=target[:200]) from None


def lint_file(one: Named, agent: AgentRef | None) -> Linted:
    """Lint a file, or standard input.

    Raises:
        NotFound: it cannot be read.
    """
    try:
        if one.name == "stdin":
            raw = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with Path(one.name).open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise NotFound(f"the file cannot be read: {reason}", key=one.name[:200]) from None
    return _linted(one, raw, agent)


async def lint_uri(one: Named, agent: AgentRef | None, fetcher: Fetcher) -> Linted:
    """Lint what stands behind a URI, and the URI."""
    raw = one.name.encode(errors="surrogateescape")
    uri = parse_uri(raw)
    if uri.kind in ("data", "json"):
        inline = read_inline(raw)
        if inline.body is None:
            return Linted(named=one, findings=inline.findings)
        return _linted(one, inline.body, agent, inline.findings)
    if uri.kind == "unsupported":
        return Linted(named=one, findings=(Finding("uri-unsupported", "", uri.reason or ""),))
    fetched = await fetcher.read(uri)
    findings = _uri_findings(uri, fetched)
    if fetched.outcome != "ok" or fetched.body is None:
        return Linted(named=one, findings=findings)
    return _linted(one, fetched.body, agent, findings)


async def lint_agent(one: Named, conn: Conn) -> Linted:
    """Lint an indexed agent's file as it was last read, with what is known about its identity.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    from renown.api.answers import findings as answers
    from renown.api.answers import registration

    assert one.key is not None
    held = (await answers.of_agent(conn, one.key)).body
    beside = tuple(
        Finding(item.code, item.path, item.detail)
        for item in held.items
        if item.subject != "document"
    )
    try:
        raw = (await registration.served(conn, one.key)).raw
    except NotFound as error:
        if isinstance(error, AgentNotFound):
            raise
        return Linted(named=one, findings=beside, missing=None if beside else error.detail)
    return _linted(one, raw, None, beside)


def agent_ref(text: str) -> AgentRef:
    """The agent that a file is to name. Raises BadAgentKey, ChainNotFound, BadParameter."""
    from renown.spec.deployments import find

    key = parse_agent_key(text)
    if isinstance(key, ShortKey):
        return AgentRef(key.chain_id, find(str(key.chain_id)).identity, key.agent_id)
    if isinstance(key, AgentRef):
        return key
    raise BadParameter("--agent takes a chain and a number, such as 8453:42, not a UUID")


def failing(findings: Iterable[Finding], least: Severity, *, strict: bool) -> list[Finding]:
    """Those that make a target fail: at least as bad as `least`; if `strict`, every allowance."""
    bad = SEVERITIES[: SEVERITIES.index(least) + 1]
    return [
        finding
        for finding in findings
        if severity(finding.code) in bad or (strict and finding.code in ALLOWANCES)
    ]


def _linted(
    one: Named, raw: bytes, agent: AgentRef | None, beside: tuple[Finding, ...] = ()
) -> Linted:
    document = read_document(raw)
    found = [*document.findings, *beside]
    if agent is not None:
        found += _names_agent(document.registration, agent)
    ranked = sorted(set(found), key=_rank)
    return Linted(named=one, document=document, findings=tuple(ranked))


def _names_agent(registration: Registration | None, agent: AgentRef) -> list[Finding]:
    claims = registration.claims if registration else ()
    wanted = (agent.chain_id, f"0x{agent.registry.hex()}", agent.agent_id)
    if any((claim.chain_id, claim.registry, claim.agent_id) == wanted for claim in claims):
        return []
    elsewhere = any(claim.agent_id is not None for claim in claims)
    code = "registration-elsewhere" if elsewhere else "registration-missing"
    return [Finding(code, "/registrations", agent.key)]


def _uri_findings(uri: Uri, fetched: Fetched) -> tuple[Finding, ...]:
    found = []
    if uri.kind == "http":
        found.append(Finding("uri-insecure"))
    if uri.kind in ("http", "https"):
        found.append(Finding("uri-mutable"))
    if fetched.outcome == "ok":
        if fetched.final_url:
            found.append(Finding("uri-redirected", "", fetched.final_url[:300]))
        if uri.kind in ("ipfs", "ar") and fetched.verified is None:
            found.append(Finding("content-unverified"))
    elif fetched.outcome == "http-error":
        code = "uri-server-error" if (fetched.status or 0) >= 500 else "uri-not-found"
        found.append(Finding(code, "", f"status {fetched.status}"))
    else:
        code = _FAILURES.get(fetched.outcome, "uri-unreachable")
        found.append(Finding(code, "", fetched.reason or fetched.outcome))
    return tuple(found)


_SUBJECTS = list(dict.fromkeys(kind.subject for kind in FINDINGS.values()))


def _rank(finding: Finding) -> tuple[int, int, Finding]:
    kind = FINDINGS[finding.code]
    return SEVERITIES.index(kind.severity), _SUBJECTS.index(kind.subject), finding


def _is_file(target: str) -> bool:
    try:
        return Path(target).is_file() or Path(target).is_fifo()
    except (OSError, ValueError):  # a name that no file can have, such as a long data: URI
        return False


def _fetcher() -> Fetcher:
    from renown.cli.crawling import fetcher
    from renown.cli.runtime import load

    return fetcher(load())


async def _conn(stack: AsyncExitStack) -> Conn:
    from renown.cli.runtime import database, load

    where = await stack.enter_async_context(database(load()))
    return await stack.enter_async_context(where.reading())
