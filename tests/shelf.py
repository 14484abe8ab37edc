"""Documents put straight into the tables, as a crawler would have left them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from renown.spec.documents import READER, findings_json, read_document, registration_json
from renown.spec.uris import parse_uri
from renown.store.pool import Conn
from tests.factories import DEVNET, FIRST_TIME

REGISTRATION_V1 = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"

_URI = """
INSERT INTO uri (hash, uri, kind, host, fixed, stage) VALUES ($1, $2, $3, $4, $5, 0)
    ON CONFLICT (hash) DO UPDATE SET stage = 1 RETURNING uri_id
"""
_DOCUMENT = """
INSERT INTO document
       (sha256, raw, size_bytes, class, reading, content, registration, findings, template, reader)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7::jsonb, $8::jsonb, $9, $10)
    ON CONFLICT (sha256) DO UPDATE SET reader = excluded.reader RETURNING document_id
"""
_ATTEMPT = """
INSERT INTO resolution
       (uri_id, attempted_at, outcome, reason, status, size_bytes, duration_ms, document_id,
        verified, final_url)
VALUES ($1, $2, $3, $4, $5, $6, 12, $7, $8, $9)
"""
_STATE = """
UPDATE uri SET stage = 1, attempts = attempts + 1, attempted_at = $2, outcome = $3, reason = $4,
       status = $5, document_id = coalesce($6, document_id),
       fetched_at = CASE WHEN $3 IN ('ok', 'not-modified') THEN $2 ELSE fetched_at END,
       verified = coalesce($7, verified)
 WHERE uri_id = $1
"""


def registration(agent_id: int = 0, **fields: Any) -> bytes:
    """A strict registration file of one devnet agent; `fields` are added or replace."""
    said = {
        "type": REGISTRATION_V1,
        "name": f"Agent {agent_id}",
        "description": "Does things.",
        "image": "https://agent.example/a.png",
        "services": [{"name": "web", "endpoint": "https://agent.example/", "version": "1"}],
        "registrations": [
            {"agentId": agent_id, "agentRegistry": f"eip155:31337:0x{DEVNET.identity.hex()}"}
        ],
    }
    return json.dumps({**said, **fields}).encode()


def when(block: float) -> datetime:
    """The time of a block of a `Story`, or between two."""
    return datetime.fromtimestamp(FIRST_TIME + 12 * block, UTC)


async def learn(conn: Conn, uri: bytes) -> int:
    """A URI nobody tried yet. Returns its id."""
    known = parse_uri(uri)
    found: int = await conn.fetchval(
        _URI, hashlib.sha256(uri).digest(), uri, known.kind, known.host, known.fixed
    )
    return found


async def keep(conn: Conn, body: bytes) -> int:
    """A document. Returns its id."""
    read = read_document(body)
    found: int = await conn.fetchval(
        _DOCUMENT,
        *(read.sha256, body, len(body), read.klass, read.reading),
        read.content.decode() if read.content is not None else None,
        registration_json(read.registration).decode() if read.registration else None,
        *(findings_json(read.findings), read.template, READER),
    )
    return found


async def serve(
    conn: Conn, uri: bytes, body: bytes, at: datetime, *, outcome: str = "ok", **told: Any
) -> int:
    """An attempt that gave `body`. `told` may name `verified` and `final_url`. Returns the id."""
    uri_id, document_id = await learn(conn, uri), await keep(conn, body)
    verified = told.get("verified")
    await conn.execute(
        _ATTEMPT,
        *(uri_id, at, outcome, None, 200, len(body), document_id, verified, told.get("final_url")),
    )
    await conn.execute(_STATE, uri_id, at, outcome, None, 200, document_id, verified)
    return document_id


async def fail(
    conn: Conn,
    uri: bytes,
    at: datetime,
    *,
    outcome: str = "connect-failed",
    reason: str | None = None,
    status: int | None = None,
) -> None:
    """An attempt that gave nothing."""
    uri_id = await learn(conn, uri)
    await conn.execute(_ATTEMPT, uri_id, at, outcome, reason, status, None, None, None, None)
    await conn.execute(_STATE, uri_id, at, outcome, reason, status, None, None)


async def profile(
    conn: Conn, agent_id: int, *, findings: list[dict[str, str]] | None = None, **columns: Any
) -> None:
    """The agent's row for search, made of its URI and document as they are now."""
    row = await conn.fetchrow(
        """SELECT a.owner, a.created_at, u.uri_id, u.document_id FROM agent a
             LEFT JOIN uri u ON u.hash = sha256(a.uri) AND a.uri <> ''
            WHERE a.chain_id = 31337 AND a.agent_id = $1""",
        agent_id,
    )
    assert row is not None
    values = {
        "chain_id": 31337,
        "agent_id": agent_id,
        "uri_id": row["uri_id"],
        "document_id": row["document_id"],
        "state": "strict",
        "owner": row["owner"],
        "created_at": row["created_at"],
        "active_at": row["created_at"],
        "revision": 1,
        "findings": json.dumps(findings or []),
        **columns,
    }
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await conn.execute(
        f"INSERT INTO agent_profile ({', '.join(values)}) VALUES ({places})", *values.values()
    )
    await conn.execute(
        """UPDATE agent_profile
              SET words = to_tsvector('renown', coalesce(name, '')) || array_to_tsvector(terms)
            WHERE chain_id = 31337 AND agent_id = $1""",
        agent_id,
    )
