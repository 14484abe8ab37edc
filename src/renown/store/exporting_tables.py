"""The tables of bulk files: every column with its kind, its meaning and the SQL that gives it.

What is said here stands in each manifest, in the Parquet files and in `docs/reference/exports.md`.
"""

from __future__ import annotations

from typing import Literal, LiteralString

import msgspec

from renown.spec.findings import FINDINGS

Kind = Literal[
    "code",  # text of ours, ASCII: keys, states, verdicts
    "words",  # text that we made of a stranger's: valid Unicode, cut, cleaned
    "text",  # a stranger's bytes as text, beside a column `…_hex` where they are not clean UTF-8
    "hex",  # bytes as 0x and lower-case digits
    "number",  # an integer within 2^53
    "id",  # an integer within 2^63
    "whole",  # an integer of any size
    "time",  # UTC, to the microsecond
    "flag",  # true or false
    "list",  # texts of ours
    "json",  # a JSON value
    "bytes",  # bytes as they are
]
Family = Literal["agents", "blocks", "documents"]
"""How a table is walked: by agent id or by block, chain by chain; or by document."""


class Column(msgspec.Struct, frozen=True):
    """One column. `prefix`: of a list, only texts that begin with it are meant, without it."""

    name: str
    kind: Kind
    sql: LiteralString
    about: str
    prefix: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table of an export.

    Attributes:
        body: FROM, WHERE and ORDER BY. `agents` and `blocks`: $1 chain, $2 the block it is as of,
            $3 and $4 the first and last agent id or block. `documents`: $1 and $2 the first and
            last id, $3 the time it is as of.
        source: the table that is walked.
        present: whether all of it is of the present, not of the chain's block.
    """

    name: str
    about: str
    family: Family
    source: LiteralString
    columns: tuple[Column, ...]
    body: LiteralString
    present: bool = False


_KEY: LiteralString = """'eip155:' || c.chain_id || ':0x' || encode(c.identity, 'hex') || ':' ||"""
_IN_PART: LiteralString = """f.chain_id = $1::bigint AND f.block_number <= $2::bigint
   AND f.block_number BETWEEN $3::bigint AND $4::bigint
 ORDER BY f.block_number, f.log_index"""
_OF_AGENTS: LiteralString = """a.chain_id = $1::bigint AND a.created_block <= $2::bigint
   AND a.agent_id BETWEEN $3::bigint AND $4::bigint"""


def _agent_key(agent: LiteralString) -> tuple[Column, ...]:
    return (
        Column("key", "code", f"{_KEY} {agent}", "Canonical agent key."),
        Column("chain_id", "number", "c.chain_id", "EIP-155 chain id."),
        Column("agent_id", "id", agent, "Token id in the chain's identity registry."),
    )


_PLACE = (
    Column("block_number", "number", "f.block_number", "Block of the event."),
    Column("log_index", "number", "f.log_index", "Place of the event within its block."),
    Column("block_time", "time", "b.time", "The block's own time."),
    Column("tx_hash", "hex", "f.tx_hash", "Transaction."),
)


def _terms(name: str, term: str, about: str) -> Column:
    return Column(name, "list", "p.terms", f"{about} Lower case, as filters know them.", f"{term}=")


AGENTS = Table(
    name="agents",
    about="Every agent as of the chain's block, with what its file said by `profile_at`.",
    family="agents",
    source="agent",
    columns=(
        *_agent_key("a.agent_id"),
        Column("uuid", "code", "a.uuid", "uuid5(NAMESPACE_URL, key)."),
        Column("owner", "hex", "a.owner", "Owner."),
        Column(
            "registrant", "hex", "a.registrant", "Who registered it; null: no Registered was seen."
        ),
        Column("uri", "text", "a.uri", "Its URI. Null: never said. Empty: said to be empty."),
        Column("uri_block", "number", "a.uri_block", "When the URI was said."),
        Column("wallet", "hex", "a.wallet", "Payment wallet; see `wallet_state` before paying it."),
        Column(
            "wallet_state", "code", "a.wallet_state", "unset, default, proved, cleared, malformed."
        ),
        Column("approved", "hex", "a.approved", "May manage this agent (ERC-721)."),
        Column("transfers", "number", "a.transfer_count", "Changes of owner."),
        Column("created_block", "number", "a.created_block", "Block of the mint."),
        Column("created_at", "time", "a.created_at", "That block's own time."),
        Column("created_tx", "hex", "a.created_tx", "Transaction of the mint."),
        Column(
            "feedback_count",
            "number",
            "coalesce(s.feedback_count, 0)",
            "Feedback given and not superseded, revoked too.",
        ),
        Column("revoked_count", "number", "coalesce(s.revoked_count, 0)", "Of it, revoked."),
        Column("client_count", "number", "coalesce(s.client_count, 0)", "Distinct clients."),
        Column(
            "response_count", "number", "coalesce(s.response_count, 0)", "Responses to feedback."
        ),
        Column(
            "validation_count",
            "number",
            "coalesce(s.validation_count, 0)",
            "Validations requested.",
        ),
        Column(
            "validation_responded_count",
            "number",
            "coalesce(s.validation_responded_count, 0)",
            "Of them, answered.",
        ),
        Column(
            "profile_at",
            "time",
            "p.changed_at",
            "Since when all the columns that follow say this; null: nothing was looked at yet.",
        ),
        Column(
            "state",
            "code",
            "p.state",
            "none, pending, unsupported, unreachable, unreadable, foreign, tolerant, strict.",
        ),
        Column("name", "words", "p.name", "Name that its file claims."),
        Column("description", "words", "p.description", "Description, cut."),
        Column("image", "words", "p.image", "Image URL."),
        Column("x402", "flag", "p.x402", "Says it takes x402 payments; null: not said."),
        Column("active", "flag", "p.active", "Says it is active; null: not said."),
        Column("alive", "flag", "p.alive", "An endpoint answered; null: never probed."),
        _terms("kinds", "kind", "Kinds of service."),
        _terms("protocol_versions", "version", "Protocol versions as `kind/version`."),
        _terms("tools", "tool", "MCP tools."),
        _terms("skills", "skill", "Skills (OASF paths and their heads, A2A skills)."),
        _terms("skill_domains", "domain", "OASF domains and their heads."),
        _terms("trust", "trust", "Trust models it supports."),
        _terms("tags", "tag", "Tags of its file."),
        _terms("finding_codes", "finding", "Codes of its findings."),
        Column("verified_hosts", "list", "p.domains", "Hosts whose well-known file confirms it."),
        Column(
            "document_sha256", "hex", "d.sha256", "Of its file: a row of documents, registrations."
        ),
        Column(
            "template",
            "hex",
            "p.template",
            "Equal for files that differ only in what a mint fills.",
        ),
        Column("leads", "flag", "p.leads", "First registered of its template's agents."),
    ),
    body=f"""
  FROM agent a
  JOIN chain c ON c.chain_id = a.chain_id
  LEFT JOIN agent_stats s ON s.chain_id = a.chain_id AND s.agent_id = a.agent_id
  LEFT JOIN agent_profile p ON p.chain_id = a.chain_id AND p.agent_id = a.agent_id
  LEFT JOIN document d ON d.document_id = p.document_id
 WHERE {_OF_AGENTS}
 ORDER BY a.agent_id
""",
)

FEEDBACK = Table(
    name="feedback",
    about="Every feedback ever given up to the chain's block, revoked and superseded ones too.",
    family="blocks",
    source="feedback_given",
    columns=(
        *_agent_key("f.agent_id"),
        *_PLACE,
        Column("client", "hex", "f.client", "Who gave it."),
        Column("feedback_index", "id", "f.feedback_index", "From 1 per agent and client."),
        Column("value", "whole", "f.value", "An int128, scaled by 10^decimals."),
        Column("decimals", "number", "f.decimals", "Digits of `value` behind the point."),
        Column("tag1", "text", "f.tag1", "First tag."),
        Column("tag2", "text", "f.tag2", "Second tag."),
        Column("endpoint", "text", "f.endpoint", "Endpoint it is about."),
        Column("uri", "text", "f.uri", "URI of its file."),
        Column("content_hash", "hex", "f.content_hash", "Hash that it gives of that file."),
        Column(
            "attached",
            "flag",
            "coalesce((f.block_number, f.log_index)"
            " > (a.created_block, a.created_log_index), false)",
            "Whether its agent existed; if not, it counts for nothing.",
        ),
        Column(
            "revoked_block",
            "number",
            "CASE WHEN m.revoked_block <= $2::bigint THEN m.revoked_block END",
            "When it was revoked; null: not up to the chain's block.",
        ),
        Column(
            "superseded_block",
            "number",
            "CASE WHEN m.superseded_block <= $2::bigint THEN m.superseded_block END",
            "When a registry that had restarted its indexes gave this one again; else null.",
        ),
        Column(
            "response_count",
            "number",
            """CASE WHEN coalesce(m.response_count, 0) = 0 THEN 0
            ELSE (SELECT count(*) FROM response_appended r
                   WHERE r.chain_id = f.chain_id AND r.agent_id = f.agent_id
                     AND r.client = f.client AND r.feedback_index = f.feedback_index
                     AND r.block_number <= $2::bigint
                     AND (r.block_number, r.log_index) > (f.block_number, f.log_index)
                     AND (m.superseded_block IS NULL OR
                          (r.block_number, r.log_index)
                          < (m.superseded_block, m.superseded_log_index)))
            END""",
            "Responses up to the chain's block.",
        ),
    ),
    body=f"""
  FROM feedback_given f
  JOIN chain c ON c.chain_id = f.chain_id
  LEFT JOIN feedback_mark m ON m.chain_id = f.chain_id AND m.block_number = f.block_number
   AND m.log_index = f.log_index
  LEFT JOIN block b ON b.chain_id = f.chain_id AND b.number = f.block_number
  LEFT JOIN agent a ON a.chain_id = f.chain_id AND a.agent_id = f.agent_id
 WHERE {_IN_PART}
""",
)

RESPONSES = Table(
    name="responses",
    about="Every response to feedback up to the chain's block.",
    family="blocks",
    source="response_appended",
    columns=(
        *_agent_key("f.agent_id"),
        *_PLACE,
        Column("client", "hex", "f.client", "Who gave the feedback."),
        Column("feedback_index", "id", "f.feedback_index", "The feedback's index."),
        Column("responder", "hex", "f.responder", "Who responded."),
        Column("uri", "text", "f.uri", "URI of the response's file."),
        Column("content_hash", "hex", "f.content_hash", "Hash that it gives of that file."),
    ),
    body=f"""
  FROM response_appended f
  JOIN chain c ON c.chain_id = f.chain_id
  LEFT JOIN block b ON b.chain_id = f.chain_id AND b.number = f.block_number
 WHERE {_IN_PART}
""",
)

ATTACHMENTS = Table(
    name="attachments",
    about="What was found behind the URIs of feedback, responses and validations; of the present.",
    family="blocks",
    source="attachment",
    present=True,
    columns=(
        *_agent_key("f.agent_id"),
        Column("block_number", "number", "f.block_number", "Block of the event that names it."),
        Column("log_index", "number", "f.log_index", "Place of that event within its block."),
        Column("role", "code", "f.role", "feedback, response, request, validation."),
        Column("uri", "text", "u.uri", "The URI."),
        Column(
            "content_hash", "hex", "f.content_hash", "As the event has it; null: none, or zero."
        ),
        Column("verdict", "code", "f.verdict", "How the hash compares with the file."),
        Column("document_sha256", "hex", "d.sha256", "Of the file: a row of documents."),
        Column("checked_at", "time", "f.checked_at", "When; null: not yet."),
    ),
    body=f"""
  FROM attachment f
  JOIN chain c ON c.chain_id = f.chain_id
  LEFT JOIN uri u ON u.uri_id = f.uri_id
  LEFT JOIN document d ON d.document_id = f.document_id
 WHERE {_IN_PART}
""",
)

DOCUMENTS = Table(
    name="documents",
    about="Every distinct document that was found behind a URI, with its bytes; of the present.",
    family="documents",
    source="document",
    present=True,
    columns=(
        Column("sha256", "hex", "d.sha256", "Names the document."),
        Column("size_bytes", "number", "d.size_bytes", "Length of `raw`."),
        Column("class", "code", "d.class", "What kind of thing it is."),
        Column("reading", "code", "d.reading", "strict, tolerant or none."),
        Column(
            "findings", "json", "d.findings", "A list of {code, path, detail}, of the bytes alone."
        ),
        Column(
            "template",
            "hex",
            "d.template",
            "Equal for files that differ only in what a mint fills.",
        ),
        Column("reader", "number", "d.reader", "Version of the reader."),
        Column("stored_at", "time", "d.stored_at", "When it was first found."),
        Column("raw", "bytes", "d.raw", "The bytes as served."),
    ),
    body="""
  FROM document d
 WHERE d.document_id BETWEEN $1::bigint AND $2::bigint AND d.stored_at <= $3::timestamptz
 ORDER BY d.document_id
""",
)


def _said(field: LiteralString) -> LiteralString:
    return f"d.registration->>'{field}'"


def _said_list(field: LiteralString) -> LiteralString:
    # Lists travel with this separator, so no text of a list may have it.
    return (
        f"CASE WHEN jsonb_typeof(d.registration->'{field}') = 'array' THEN"
        f" ARRAY(SELECT translate(t, E'\\x1f', ' ')"
        f" FROM jsonb_array_elements_text(d.registration->'{field}') AS t) END"
    )


REGISTRATIONS = Table(
    name="registrations",
    about="The documents that are registration files, in one shape; of the present.",
    family="documents",
    source="document",
    present=True,
    columns=(
        Column("sha256", "hex", "d.sha256", "Of the document."),
        Column("type", "words", _said("type"), "Its type URI."),
        Column("name", "words", _said("name"), "Name."),
        Column("description", "words", _said("description"), "Description."),
        Column("image", "words", _said("image"), "Image URL."),
        Column("x402", "flag", f"({_said('x402')})::boolean", "Null: not said."),
        Column("active", "flag", f"({_said('active')})::boolean", "Null: not said."),
        Column("updated_at", "whole", _said("updated_at"), "Unix seconds, as the file says."),
        Column("trust", "list", _said_list("trust"), "Trust models it supports."),
        Column("tags", "list", _said_list("tags"), "Tags."),
        Column(
            "services",
            "json",
            "d.registration->'services'",
            "A list of {position, kind, name, endpoint, version, skills, …}.",
        ),
        Column(
            "claims",
            "json",
            "d.registration->'claims'",
            "A list of {chain_id, registry, agent_id}: whose it says it is.",
        ),
        Column("other", "json", "d.registration->'other'", "Fields the standard does not know."),
    ),
    body="""
  FROM document d
 WHERE d.document_id BETWEEN $1::bigint AND $2::bigint AND d.stored_at <= $3::timestamptz
   AND d.registration IS NOT NULL
 ORDER BY d.document_id
""",
)

_SEVERITIES: LiteralString = ", ".join(
    f"('{kind.code}', '{kind.severity}')" for kind in FINDINGS.values()
)

FINDING_ROWS = Table(
    name="findings",
    about="What was found about each agent, one row a finding; of the present.",
    family="agents",
    source="agent",
    present=True,
    columns=(
        *_agent_key("a.agent_id"),
        Column("code", "words", "f.finding->>'code'", "Stable code of the finding."),
        Column("severity", "code", "k.severity", "error, warning, info; null: code of long ago."),
        Column(
            "path", "words", "f.finding->>'path'", "JSON pointer to the place; empty: all of it."
        ),
        Column("detail", "words", "f.finding->>'detail'", "What was seen there."),
        Column("profile_at", "time", "p.changed_at", "Since when this is said."),
    ),
    body=f"""
  FROM agent a
  JOIN chain c ON c.chain_id = a.chain_id
  JOIN agent_profile p ON p.chain_id = a.chain_id AND p.agent_id = a.agent_id
 CROSS JOIN LATERAL jsonb_array_elements(p.findings) WITH ORDINALITY AS f (finding, position)
  LEFT JOIN (VALUES {_SEVERITIES}) AS k (code, severity) ON k.code = f.finding->>'code'
 WHERE {_OF_AGENTS}
 ORDER BY a.agent_id, f.position
""",
)

ENDPOINTS = Table(
    name="endpoints",
    about="Where agents say they can be called, and how that went; of the present.",
    family="agents",
    source="agent",
    present=True,
    columns=(
        *_agent_key("a.agent_id"),
        Column("position", "number", "x.position", "Of the service in the agent's file."),
        Column("protocol", "code", "e.protocol", "mcp, a2a, x402, web."),
        Column("url", "words", "e.url", "URL."),
        Column("host", "words", "e.host", "Host."),
        Column("verdict", "code", "e.verdict", "unknown, alive, paywalled, dead, hollow, refused."),
        Column("verdict_at", "time", "e.verdict_at", "Since when the verdict holds."),
        Column("checked_at", "time", "e.checked_at", "Last check; null: never probed."),
        Column("latency_ms", "number", "e.latency_ms", "Of the last answer."),
        Column("checks", "number", "e.checks", "Checks so far."),
        Column("good_checks", "number", "e.good_checks", "Of them, good ones."),
        Column("capabilities", "json", "e.capabilities", "Tools, skills, prices it answered with."),
    ),
    body=f"""
  FROM agent a
  JOIN chain c ON c.chain_id = a.chain_id
  JOIN agent_endpoint x ON x.chain_id = a.chain_id AND x.agent_id = a.agent_id
  JOIN endpoint e ON e.endpoint_id = x.endpoint_id
 WHERE {_OF_AGENTS}
 ORDER BY a.agent_id, x.position, x.protocol
""",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        *(AGENTS, FEEDBACK, RESPONSES, DOCUMENTS, REGISTRATIONS, FINDING_ROWS),
        *(ENDPOINTS, ATTACHMENTS),
    )
}
"""Every table by its name, in the order in which they are written."""
