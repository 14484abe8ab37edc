"""Rows of `agent_profile`, kept with all that hangs on them.

There is one writer, the crawler, so nothing here waits for another of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from renown.derive.profile import Profile
from renown.store.changes import announce_places
from renown.store.pool import Tx
from renown.store.profile_material import PROMINENT_CLIENTS, Place, columns

TAKE: LiteralString = """
DELETE FROM profile_due
 WHERE (chain_id, agent_id) IN (
       SELECT chain_id, agent_id FROM profile_due ORDER BY chain_id, agent_id LIMIT $1)
RETURNING chain_id, agent_id
"""


async def take_due(tx: Tx, limit: int) -> list[Place]:
    """Take agents off the list of those whose row is to be made anew, in order.

    What they are made of must be read after this, in the same READ COMMITTED transaction: whoever
    then changes it waits for us to put its agent on the list again, and nothing is missed.
    """
    return sorted((row[0], row[1]) for row in await tx.fetch(TAKE, limit))


# Writing -----------------------------------------------------------------------------------------

_FIELDS: LiteralString = """chain_id, agent_id, uri_id, document_id, state, name, description,
    image, name_key, skeleton, x402, active, alive, findings, domains, terms, words, template,
    quality, owner, wallet, feedback_count, client_count, created_at, active_at"""
_UPDATED: LiteralString = """uri_id, document_id, state, name, description, image, name_key,
    skeleton, x402, active, alive, findings, domains, terms, words, template, quality, owner,
    wallet, feedback_count, client_count, created_at, active_at"""
_EXCLUDED: LiteralString = """excluded.uri_id, excluded.document_id, excluded.state, excluded.name,
    excluded.description, excluded.image, excluded.name_key, excluded.skeleton, excluded.x402,
    excluded.active, excluded.alive, excluded.findings, excluded.domains, excluded.terms,
    excluded.words, excluded.template, excluded.quality, excluded.owner, excluded.wallet,
    excluded.feedback_count, excluded.client_count, excluded.created_at, excluded.active_at"""
_HELD: LiteralString = """p.uri_id, p.document_id, p.state, p.name, p.description, p.image,
    p.name_key, p.skeleton, p.x402, p.active, p.alive, p.findings, p.domains, p.terms, p.words,
    p.template, p.quality, p.owner, p.wallet, p.feedback_count, p.client_count, p.created_at,
    p.active_at"""

# What a row `r` of texts and terms is found by.
WORDS: LiteralString = """setweight(to_tsvector('renown', r.name_text), 'A')
       || setweight(to_tsvector('renown', r.offers), 'B')
       || setweight(to_tsvector('renown', r.tags), 'C')
       || setweight(to_tsvector('renown', r.about), 'D')
       || array_to_tsvector(r.terms)"""
# A row of a template is taken to lead nobody until LEAD has looked.
WRITE: LiteralString = f"""
INSERT INTO agent_profile AS p ({_FIELDS}, leads, revision)
SELECT r.chain_id, r.agent_id, r.uri_id, r.document_id, r.state, r.name, r.description, r.image,
       r.name_key, r.skeleton, r.x402, r.active, r.alive, r.findings, r.domains, r.terms,
       {WORDS},
       decode(r.template, 'hex'), r.quality, decode(r.owner, 'hex'), decode(r.wallet, 'hex'),
       r.feedback_count, r.client_count, r.created_at, r.active_at, r.template IS NULL,
       nextval('profile_revision')
  FROM jsonb_to_recordset($1::jsonb) AS r (
       chain_id bigint, agent_id bigint, uri_id bigint, document_id bigint, state text, name text,
       description text, image text, name_key text, skeleton text, x402 boolean, active boolean,
       alive boolean, findings jsonb, domains text[], terms text[], name_text text, offers text,
       tags text, about text, template text, quality smallint, owner text, wallet text,
       feedback_count bigint, client_count bigint, created_at timestamptz, active_at timestamptz)
    ON CONFLICT (chain_id, agent_id) DO UPDATE
   SET ({_UPDATED}) = ROW ({_EXCLUDED}), leads = p.leads AND p.template IS NOT DISTINCT FROM
       excluded.template OR excluded.template IS NULL,
       revision = nextval('profile_revision'), changed_at = now()
 WHERE ({_HELD}) IS DISTINCT FROM ({_EXCLUDED})
RETURNING chain_id, agent_id
"""

BEFORE: LiteralString = """
SELECT p.chain_id, p.agent_id, p.name_key, p.template, p.document_id, p.skeleton,
       p.domains <> '{}' OR p.client_count >= $3, p.created_at, p.owner
  FROM agent_profile p
  JOIN unnest($1::bigint[], $2::bigint[]) AS w (chain_id, agent_id) USING (chain_id, agent_id)
"""
REMOVE: LiteralString = """
DELETE FROM {table} p USING unnest($1::bigint[], $2::bigint[]) AS w (chain_id, agent_id)
 WHERE p.chain_id = w.chain_id AND p.agent_id = w.agent_id
"""
COUNT_NAMES: LiteralString = """
INSERT INTO agent_name AS n (name_key, agent_count)
SELECT name_key, change FROM unnest($1::text[], $2::bigint[]) AS c (name_key, change)
    ON CONFLICT (name_key) DO UPDATE SET agent_count = n.agent_count + excluded.agent_count
"""
DROP_NAMES: LiteralString = "DELETE FROM agent_name WHERE name_key = any($1) AND agent_count <= 0"

# Of each template exactly the oldest agent leads.
LEAD: LiteralString = """
WITH first AS (
     SELECT p.chain_id, p.agent_id FROM unnest($1::bytea[]) AS w (template)
      CROSS JOIN LATERAL (
            SELECT chain_id, agent_id FROM agent_profile WHERE template = w.template
             ORDER BY template, created_at, chain_id, agent_id LIMIT 1) p
), deposed AS (
     UPDATE agent_profile p
        SET leads = false, revision = nextval('profile_revision'), changed_at = now()
      WHERE p.template = any($1) AND p.leads
        AND (p.chain_id, p.agent_id) NOT IN (SELECT chain_id, agent_id FROM first)
     RETURNING p.chain_id, p.agent_id
), raised AS (
     UPDATE agent_profile p
        SET leads = true, revision = nextval('profile_revision'), changed_at = now()
       FROM first f
      WHERE (p.chain_id, p.agent_id) = (f.chain_id, f.agent_id) AND NOT p.leads
     RETURNING p.chain_id, p.agent_id
), moved AS (
     SELECT * FROM deposed UNION SELECT * FROM raised
), due AS (
     INSERT INTO profile_due SELECT * FROM moved ON CONFLICT DO NOTHING
)
SELECT * FROM moved
"""

OLDEST_HOLDERS: LiteralString = """
SELECT w.document_id, p.chain_id, p.agent_id, p.created_at
  FROM unnest($1::bigint[]) AS w (document_id)
 CROSS JOIN LATERAL (
       SELECT chain_id, agent_id, created_at FROM agent_profile p
        WHERE p.document_id = w.document_id
        ORDER BY p.document_id, p.created_at, p.chain_id, p.agent_id LIMIT 1) p
"""
# When the oldest holder of a document, or the bearer of a guarded name, changed, those beside it
# have to be looked at again. Only then: a document that a mint gave to 30,000 agents would be
# looked at 30,000 times over.
LOOK_AGAIN: LiteralString = """
INSERT INTO profile_due (chain_id, agent_id)
SELECT chain_id, agent_id FROM agent_profile
 WHERE (document_id = any($1::bigint[]) OR skeleton = any($2::text[]))
   AND (chain_id, agent_id) NOT IN (SELECT * FROM unnest($3::bigint[], $4::bigint[]))
    ON CONFLICT DO NOTHING
"""


async def write(tx: Tx, profiles: Sequence[Profile], *, gone: Sequence[Place] = ()) -> None:
    """Keep these rows, remove those of agents that are gone, and set right what hangs on them.

    A row that did not change keeps its revision; of those that did, listeners hear. Agents beside
    them that must be looked at again are put into `profile_due`: they are few, and each is put
    there once.
    """
    places = [(profile.chain_id, profile.agent_id) for profile in profiles]
    rows = await tx.fetch(BEFORE, *columns([*places, *gone]), PROMINENT_CLIENTS)
    before = {(r[0], r[1]): _Held(*tuple(r)[2:]) for r in rows}
    if gone:
        for table in ("agent_profile", "agent_domain", "agent_endpoint"):
            await tx.execute(REMOVE.format(table=table), *columns(gone))
    written: list[Place] = list(gone)
    if profiles:
        content = msgspec.json.encode([_row(p) for p in profiles]).decode()
        written += [(row[0], row[1]) for row in await tx.fetch(WRITE, content)]
    after = {
        (p.chain_id, p.agent_id): _Held(
            *(p.name_key, p.template, p.document_id, p.skeleton),
            bool(p.domains) or p.client_count >= PROMINENT_CLIENTS,
            *(p.created_at, p.owner),
        )
        for p in profiles
    }
    await _count_names(tx, before.values(), after.values())
    changes = {
        place: (before.get(place, _NOTHING), after.get(place, _NOTHING))
        for place in before.keys() | after
    }
    templates = {
        template
        for old, new in changes.values()
        if old.template != new.template
        for template in (old.template, new.template)
        if template is not None
    }
    if templates:
        written += [(row[0], row[1]) for row in await tx.fetch(LEAD, sorted(templates))]
    await announce_places(tx, written)
    documents = await _documents_to_look_at(tx, changes)
    names = {
        side.skeleton
        for old, new in changes.values()
        if (old.skeleton, old.prominent, old.owner) != (new.skeleton, new.prominent, new.owner)
        for side in (old, new)
        if side.prominent and side.skeleton
    }
    if documents or names:
        await tx.execute(LOOK_AGAIN, documents, sorted(names), *columns([*places, *gone]))


class _Held(msgspec.Struct, frozen=True, gc=False):
    """What of a row others depend on."""

    name_key: str | None = None
    template: bytes | None = None
    document_id: int | None = None
    skeleton: str | None = None
    prominent: bool = False
    created_at: datetime | None = None
    owner: bytes | None = None


_NOTHING = _Held()


async def _documents_to_look_at(tx: Tx, changes: dict[Place, tuple[_Held, _Held]]) -> list[int]:
    came = {p: new.document_id for p, (old, new) in changes.items() if _moved(old, new)}
    left = [old for old, new in changes.values() if old.document_id not in (None, new.document_id)]
    wanted = {d for d in came.values() if d} | {old.document_id for old in left}
    if not wanted:
        return []
    rows = await tx.fetch(OLDEST_HOLDERS, sorted(d for d in wanted if d is not None))
    oldest = {row[0]: ((row[1], row[2]), row[3]) for row in rows}
    found = {d for d, (place, _) in oldest.items() if came.get(place) == d}
    for old in left:
        first = oldest.get(old.document_id)
        if first and old.created_at and old.created_at <= first[1]:
            found.add(old.document_id)
    return sorted(found)


def _moved(old: _Held, new: _Held) -> bool:
    return (old.document_id, old.owner) != (new.document_id, new.owner)


async def _count_names(tx: Tx, before: Iterable[_Held], after: Iterable[_Held]) -> None:
    change: dict[str, int] = {}
    for sign, side in ((-1, before), (1, after)):
        for held in side:
            if held.name_key is not None:
                change[held.name_key] = change.get(held.name_key, 0) + sign
    names = sorted(name for name, by in change.items() if by)
    if names:
        await tx.execute(COUNT_NAMES, names, [change[name] for name in names])
        await tx.execute(DROP_NAMES, names)


def _row(p: Profile) -> dict[str, Any]:
    row = {name: getattr(p, name) for name in p.__struct_fields__ if name != "texts"}
    for name in ("template", "owner", "wallet"):
        row[name] = row[name].hex() if row[name] is not None else None
    texts = p.texts
    row.update(name_text=texts.name, offers=texts.offers, tags=texts.tags, about=texts.description)
    return row
