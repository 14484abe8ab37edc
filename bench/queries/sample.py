"""What a world holds: the keys that statements are asked for, the same ones each time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record

from renown.store.pool import Conn

MANY = 50
"""How many rows the statements are given that take many: a page, or a worker's turn."""


class Sample(msgspec.Struct, kw_only=True):
    """Keys of one world.

    The chain is the one with the most agents. What is in the plural has `MANY` values (fewer where
    the world has fewer), in lists that belong together by their first word: `answer_blocks` and
    `answer_logs` are places of the same responses. Feedback has no first word: `blocks`, `logs`,
    `clients`, … Of one kind of thing there is the extreme (`busy`: the agent with the most
    feedback, `owner`: with the most agents) and the usual (`agent`: one with some feedback,
    `usual_owner`).
    """

    chain: int
    head: int
    position: int
    now: datetime
    first_time: datetime
    """When the chain's first agent was made."""
    half: int
    """A block with half of the feedback behind it."""
    half_time: datetime
    near_head: int
    """A block with some hundreds of facts above it."""
    agent: int
    uuid: UUID
    agent_uri: bytes
    busy: int
    owner: bytes
    usual_owner: bytes
    client: bytes
    """Of the busy agent, the one who said most."""
    tag: bytes
    """The most frequent one of the chain, and a rare one."""
    rare_tag: bytes
    agents: list[int]

    some_chains: list[int]
    blocks: list[int]
    logs: list[int]
    txs: list[bytes]
    agents_rated: list[int]
    clients: list[bytes]
    indexes: list[int]

    answered_agent: int
    answered_client: bytes
    answered_index: int
    answer_chains: list[int]
    answer_blocks: list[int]
    answer_logs: list[int]
    answer_txs: list[bytes]

    validated: int
    contract: bytes
    request: bytes
    request_block: int

    uri_ids: list[int]
    uri_hashes: list[bytes]
    hosts: list[str]
    due_hosts: list[str]
    document_ids: list[int]
    document_hashes: list[bytes]
    attached_chains: list[int]
    attached_blocks: list[int]
    attached_logs: list[int]
    attached_uris: list[int]

    serving: int
    """The agent that declares the most endpoints."""
    endpoint_ids: list[int]
    endpoint_hashes: list[bytes]
    endpoint_hosts: list[str]

    templates: list[bytes]
    skeletons: list[str]
    names: list[str]
    words: list[str]
    """From frequent to rare, of the texts that are searched."""

    paid: int
    claim_ids: list[UUID]
    claimed_block: int
    claimed_log: int
    pay_chain: int
    pay_tx: bytes
    pay_chains: list[int]
    pay_txs: list[bytes]

    @property
    def chains(self) -> list[int]:
        """The chain, as often as there are `agents`."""
        return [self.chain] * len(self.agents)

    @property
    def later(self) -> datetime:
        """After everything."""
        return self.now + timedelta(days=1)

    @property
    def next_day(self) -> datetime:
        """A day after `half_time`."""
        return self.half_time + timedelta(days=1)

    @property
    def misspelt(self) -> str:
        """A name with a letter too few."""
        name = max(self.names, key=len)
        return name[:2] + name[3:]


async def sample(conn: Conn) -> Sample:
    """The keys of the world that `conn` is connected to. Takes a while: it ranks whole tables."""
    chain = await _one(
        conn, "SELECT chain_id FROM agent GROUP BY chain_id ORDER BY count(*) DESC, 1 LIMIT 1"
    )
    head = await _row(
        conn, "SELECT block_number, block_time, position FROM checkpoint WHERE chain_id = $1", chain
    )
    half = await _row(conn, _HALF, chain)
    busy = await _row(conn, _BUSY, chain)
    agent = await _row(conn, _USUAL, chain)
    owner = await _row(conn, _OWNERS, chain)
    tags = await _row(conn, _TAGS, chain)
    client = await _row(conn, _CLIENT, chain, busy[0])
    feedback = await conn.fetch(_FEEDBACK, chain, MANY)
    answers = await conn.fetch(_ANSWERS, chain, MANY)
    request = await _row(conn, _REQUEST, chain)
    uris = await conn.fetch(_URIS, MANY)
    documents = await conn.fetch(_DOCUMENTS, MANY)
    attached = await conn.fetch(_ATTACHED, chain, MANY)
    serving = await _row(conn, _SERVING, chain)
    endpoints = await conn.fetch(_ENDPOINTS, MANY)
    claims = await conn.fetch(_CLAIMS, chain, MANY)
    payments = await conn.fetch(_PAYMENTS, MANY)
    return Sample(
        chain=chain,
        head=head[0],
        now=head[1],
        position=head[2],
        first_time=await _one(conn, _FIRST, chain),
        half=half[0],
        half_time=half[1],
        near_head=await _one(conn, _NEAR_HEAD, chain),
        busy=busy[0],
        agent=agent[0],
        uuid=agent[1],
        agent_uri=agent[2],
        owner=owner[0],
        usual_owner=owner[1],
        client=client[0],
        tag=tags[0],
        rare_tag=tags[1],
        agents=_column(await conn.fetch(_AGENTS, chain, MANY), 0),
        some_chains=[chain] * len(feedback),
        blocks=_column(feedback, 0),
        logs=_column(feedback, 1),
        txs=_column(feedback, 2),
        agents_rated=_column(feedback, 3),
        clients=_column(feedback, 4),
        indexes=_column(feedback, 5),
        answered_agent=answers[0][3],
        answered_client=answers[0][4],
        answered_index=answers[0][5],
        answer_chains=[chain] * len(answers),
        answer_blocks=_column(answers, 0),
        answer_logs=_column(answers, 1),
        answer_txs=_column(answers, 2),
        validated=request[0],
        contract=request[1],
        request=request[2],
        request_block=request[3],
        uri_ids=_column(uris, 0),
        uri_hashes=_column(uris, 1),
        hosts=_column(await conn.fetch(_HOSTS, MANY), 0),
        due_hosts=_column(await conn.fetch(_DUE_HOSTS, MANY), 0),
        document_ids=_column(documents, 0),
        document_hashes=_column(documents, 1),
        attached_chains=[chain] * len(attached),
        attached_blocks=_column(attached, 0),
        attached_logs=_column(attached, 1),
        attached_uris=_column(attached, 2),
        serving=serving[0],
        endpoint_ids=_column(endpoints, 0),
        endpoint_hashes=_column(endpoints, 1),
        endpoint_hosts=_column(endpoints, 2),
        templates=_column(await conn.fetch(_TEMPLATES, MANY), 0),
        skeletons=_column(await conn.fetch(_SKELETONS, MANY), 0),
        names=_column(await conn.fetch(_NAMES, MANY), 0),
        words=_column(await conn.fetch(_WORDS), 0),
        paid=await _one(conn, _PAID, chain),
        claim_ids=_column(claims, 0),
        claimed_block=claims[0][1],
        claimed_log=claims[0][2],
        pay_chain=payments[0][0],
        pay_tx=payments[0][1],
        pay_chains=_column(payments, 0),
        pay_txs=_column(payments, 1),
    )


async def _row(conn: Conn, query: str, *args: Any) -> Record:
    row = await conn.fetchrow(query, *args)
    if row is None:
        raise LookupError(f"the world has nothing to take a sample of: {' '.join(query.split())}")
    return row


async def _one(conn: Conn, query: str, *args: Any) -> Any:
    return (await _row(conn, query, *args))[0]


def _column(rows: list[Record], n: int) -> list[Any]:
    return [row[n] for row in rows]


# Spread over a table by the hash of the key: neighbours would share pages, as users' keys do not.

_FIRST = "SELECT created_at FROM agent WHERE chain_id = $1 ORDER BY agent_id LIMIT 1"
_HALF = """
SELECT number, time FROM block
 WHERE chain_id = $1 AND number <= (
       SELECT (min(number) + max(number)) / 2 FROM block WHERE chain_id = $1)
 ORDER BY number DESC LIMIT 1
"""
_NEAR_HEAD = """
SELECT min(number) FROM (SELECT number, sum(fact_count) OVER (ORDER BY number DESC) AS above
                           FROM block WHERE chain_id = $1 ORDER BY number DESC LIMIT 1000) b
 WHERE above <= 300 OR number = (SELECT max(number) FROM block WHERE chain_id = $1)
"""
_AGENTS = """
SELECT agent_id FROM agent WHERE chain_id = $1 AND uri <> ''
 ORDER BY hashint8(agent_id), agent_id LIMIT $2
"""
_BUSY = """
SELECT agent_id FROM agent_stats WHERE chain_id = $1
 ORDER BY feedback_count DESC, agent_id LIMIT 1
"""
_USUAL = """
SELECT a.agent_id, a.uuid, a.uri FROM agent a JOIN agent_stats s USING (chain_id, agent_id)
 WHERE chain_id = $1 AND s.feedback_count BETWEEN 1 AND 50 AND a.uri LIKE 'http%'
 ORDER BY hashint8(agent_id), agent_id LIMIT 1
"""
_OWNERS = """
WITH owners AS (SELECT owner, count(*) AS held FROM agent WHERE chain_id = $1 GROUP BY owner)
SELECT (SELECT owner FROM owners ORDER BY held DESC, owner LIMIT 1),
       (SELECT owner FROM owners WHERE held <= 3 ORDER BY owner LIMIT 1)
"""
_CLIENT = """
SELECT client FROM feedback_given WHERE chain_id = $1 AND agent_id = $2
 GROUP BY client ORDER BY count(*) DESC, client LIMIT 1
"""
_TAGS = """
WITH tags AS (SELECT tag1, sum(given_count) AS given FROM agent_tag_stats
               WHERE chain_id = $1 AND tag1 <> '' GROUP BY tag1)
SELECT (SELECT tag1 FROM tags ORDER BY given DESC, tag1 LIMIT 1),
       (SELECT tag1 FROM tags ORDER BY given, tag1 LIMIT 1)
"""
_FEEDBACK = """
SELECT block_number, log_index, tx_hash, agent_id, client, feedback_index
  FROM feedback_given WHERE chain_id = $1 AND uri <> ''
 ORDER BY hashint8(block_number), block_number, log_index LIMIT $2
"""
_ANSWERS = """
SELECT block_number, log_index, tx_hash, agent_id, client, feedback_index
  FROM response_appended WHERE chain_id = $1
 ORDER BY hashint8(block_number), block_number, log_index LIMIT $2
"""
_REQUEST = """
SELECT agent_id, contract, request_hash, requested_block FROM validation
 WHERE chain_id = $1 ORDER BY responded_block NULLS LAST, agent_id, request_hash LIMIT 1
"""
_URIS = "SELECT uri_id, hash FROM uri WHERE host <> '' ORDER BY hash LIMIT $1"
_HOSTS = "SELECT host FROM uri WHERE host <> '' GROUP BY host ORDER BY md5(host) LIMIT $1"
_DUE_HOSTS = """
SELECT host FROM uri WHERE host <> '' AND due_at IS NOT NULL AND stage = 2
 GROUP BY host ORDER BY md5(host) LIMIT $1
"""
_DOCUMENTS = "SELECT document_id, sha256 FROM document ORDER BY sha256 LIMIT $1"
_ATTACHED = """
SELECT block_number, log_index, uri_id FROM attachment WHERE chain_id = $1
 ORDER BY hashint8(block_number), block_number, log_index LIMIT $2
"""
_SERVING = """
SELECT agent_id FROM agent_endpoint WHERE chain_id = $1
 GROUP BY agent_id ORDER BY count(*) DESC, agent_id LIMIT 1
"""
_ENDPOINTS = "SELECT endpoint_id, hash, host FROM endpoint ORDER BY hash LIMIT $1"
_TEMPLATES = """
SELECT DISTINCT template FROM agent_profile WHERE template IS NOT NULL ORDER BY 1 LIMIT $1
"""
_SKELETONS = """
SELECT skeleton FROM agent_profile WHERE skeleton IS NOT NULL
 ORDER BY hashint8(agent_id), agent_id LIMIT $1
"""
_NAMES = "SELECT name_key FROM agent_name ORDER BY md5(name_key) LIMIT $1"
# Of the words that planner statistics know, ten from the most frequent to the rarest.
_WORDS = """
SELECT DISTINCT ON (tenth) word
  FROM (SELECT word, share, ntile(10) OVER (ORDER BY share DESC, word) AS tenth
          FROM pg_stats,
               unnest(most_common_elems::text::text[], most_common_elem_freqs) AS w (word, share)
         WHERE tablename = 'agent_profile' AND attname = 'words' AND word ~ '^[a-z]{3,}$') t
 ORDER BY tenth, share DESC, word
"""
_PAID = """
SELECT agent_id FROM payment WHERE chain_id = $1
 GROUP BY agent_id ORDER BY count(*) DESC, agent_id LIMIT 1
"""
_CLAIMS = """
SELECT claim_id, feedback_block, feedback_log_index FROM payment_claim
 WHERE chain_id = $1 AND feedback_block IS NOT NULL ORDER BY claim_id LIMIT $2
"""
_PAYMENTS = """
SELECT DISTINCT pay_chain_id, tx_hash FROM payment ORDER BY tx_hash LIMIT $1
"""
