"""Rows of agents that are alike but for names and numbers. Pure.

Three of four agents say nothing, or what a mint wrote for thousands. One of a kind is made as the
crawler would, with marks in the places of what is its own; the others are it with the marks filled
in. That this gives the rows that reading each would give is tested.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from renown.derive.profile import Profile
from renown.ingest.world.size import WorldSize
from renown.spec.documents import findings_json
from renown.spec.names import skeleton
from renown.spec.uris import Uri
from renown.store.documents import DocumentRow
from renown.store.world_found import Found
from renown.store.world_profiles import MADE_COLUMNS, AgentNow

Row = tuple[Any, ...]

MARKED_ID, MARKED_ORDINAL = 987_654_321_987, 876_543_219_876
"""In the places of an agent's id and ordinal; no world has as many agents."""
_OWNER, _WALLET = b"\xee" * 20, b"\xdd" * 20
_ID, _ORDINAL = str(MARKED_ID), str(MARKED_ORDINAL)
_LOOKS = {ord(digit): skeleton(digit) for digit in "0123456789"}
_ORDINAL_LOOKS = _ORDINAL.translate(_LOOKS)
_REMEMBERED = 5_000


class Prototype:
    """The rows of the marked one: of its profile, and what was found behind its URI."""

    def __init__(self, row: Row, found: Found, uri: Uri | None) -> None:
        self.found, self.uri = found, uri
        self._row = row
        self._document: DocumentRow | None = None
        if found.documents:
            self._document = DocumentRow(*found.documents[0][1:-2])
        terms = row[_TERMS]
        self._owner_at = terms.index(f"owner=0x{_OWNER.hex()}")
        marked_wallet = f"wallet=0x{_WALLET.hex()}"
        self._wallet_at = terms.index(marked_wallet) if marked_wallet in terms else None

    def document_of(self, body: bytes, agent_id: int, ordinal: int) -> DocumentRow:
        """The document that `body`, the file of an agent of this kind, is."""
        one = self._document
        assert one is not None
        content, registration = one.content, one.registration
        return DocumentRow(
            sha256=sha256(body).digest(),
            raw=body,
            klass=one.klass,
            reading=one.reading,
            content=content and _filled(content, agent_id, ordinal),
            registration=registration and _filled(registration, agent_id, ordinal),
            findings=one.findings,
            template=one.template,
            reader=one.reader,
        )

    def row_of(self, now: AgentNow, ordinal: int, active_at: datetime) -> Row:
        """The profile of an agent of this kind, as `profile_row` has it."""
        row, number = list(self._row), 1 + ordinal
        terms = list(row[_TERMS])
        terms[self._owner_at] = f"owner=0x{now.owner.hex()}"
        if self._wallet_at is not None and now.wallet is not None:
            terms[self._wallet_at] = f"wallet=0x{now.wallet.hex()}"
        row[_TERMS] = tuple(terms)
        row[0] = now.agent_id
        if self.uri is not None:
            row[1:3] = number, number
            said = str(ordinal)
            for place in _NAMED:
                if row[place]:
                    row[place] = row[place].replace(_ORDINAL, said)
            if row[_SKELETON]:
                looks = said.translate(_LOOKS)
                row[_SKELETON] = row[_SKELETON].replace(_ORDINAL_LOOKS, looks)
        row[_OWNER_ON:] = (
            *(now.owner, now.wallet, now.feedback_count, now.client_count),
            *(now.created_at, active_at, number),
        )
        return tuple(row)


def _filled(text: str, agent_id: int, ordinal: int) -> str:
    return text.replace(_ORDINAL, str(ordinal)).replace(_ID, str(agent_id))


def marked(now: AgentNow, uri: bytes) -> AgentNow:
    """An agent as it is folded, with marks in the places of what is its own."""
    wallet = None if now.wallet is None else _WALLET
    return msgspec.structs.replace(now, agent_id=MARKED_ID, owner=_OWNER, wallet=wallet, uri=uri)


class Remembered(dict[Row, Prototype]):
    """Prototypes by what tells them apart; so many at most."""

    def __setitem__(self, key: Row, value: Prototype) -> None:
        if len(self) >= _REMEMBERED:
            self.clear()
        super().__setitem__(key, value)


@lru_cache(maxsize=16)
def remembered(_size: WorldSize, _chain: int) -> Remembered:
    """Those of one chain of a world."""
    return Remembered()


# The places of columns that are filled in, see `world_profiles.MADE_COLUMNS`.
_NAMED = tuple(map(MADE_COLUMNS.index, ("name", "description", "name_key", "name_text", "about")))
_SKELETON, _TERMS, _OWNER_ON = map(MADE_COLUMNS.index, ("skeleton", "terms", "owner"))


def profile_row(p: Profile, revision: int, *, leads: bool) -> Row:
    """A row as `world_profiles.MADE_COLUMNS`."""
    texts = p.texts
    return (
        *(p.agent_id, p.uri_id, p.document_id, p.state, p.name, p.description, p.image),
        *(p.name_key, p.skeleton, p.x402, p.active, p.alive, findings_json(p.findings)),
        *(p.domains, p.terms, texts.name, texts.offers, texts.tags, texts.description),
        *(p.template, leads, p.quality, p.owner, p.wallet, p.feedback_count, p.client_count),
        *(p.created_at, p.active_at, revision),
    )
