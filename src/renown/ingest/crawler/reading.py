"""What was fetched, read at once, so that keeping it is all that is left to do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256

import msgspec
import structlog

from renown.ingest.crawler.attempt import Attempt
from renown.offchain.fetched import Fetched
from renown.spec.documents import READER, findings_json, read_document, registration_json
from renown.spec.text import clean_text
from renown.store.documents import DocumentRow
from renown.store.uris import Due

log = structlog.get_logger()

REMEMBERED = 10_000
LONGEST_URL = 2_048


class Reading:
    """Makes attempts of what was fetched. Remembers the documents that are kept of late, since
    many URIs lead to the same; those are not read again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, None] = OrderedDict()

    def attempt(self, due: Due, at: datetime, fetched: Fetched) -> Attempt:
        """An attempt whose parts fit together, with its document where that may be new.

        Never raises: what our own code cannot read is an attempt that failed.
        """
        fetched = _sound(due, fetched)
        if fetched.outcome != "ok" or fetched.body is None:
            return Attempt(due, at, fetched)
        digest = sha256(fetched.body).digest()
        if digest in self._kept:
            self._kept.move_to_end(digest)
            return Attempt(due, at, fetched, digest)
        try:
            return Attempt(due, at, fetched, digest, read(fetched.body))
        except Exception as exc:
            log.exception("document_unread", uri_id=due.uri_id, error=type(exc).__name__)
            bare = Fetched(outcome="broken", reason="unread", duration_ms=fetched.duration_ms)
            return Attempt(due, at, bare)

    def kept(self, attempts: Iterable[Attempt]) -> None:
        """These are in the database now."""
        for attempt in attempts:
            if attempt.digest is not None:
                self._kept[attempt.digest] = None
        while len(self._kept) > REMEMBERED:
            self._kept.popitem(last=False)


def read(body: bytes) -> DocumentRow:
    """The document that these bytes are."""
    document = read_document(body)
    registration = document.registration
    return DocumentRow(
        sha256=document.sha256,
        raw=body,
        klass=document.klass,
        reading=document.reading,
        content=None if document.content is None else document.content.decode(),
        registration=None if registration is None else registration_json(registration).decode(),
        findings=findings_json(document.findings),
        template=document.template,
        reader=READER,
    )


def _sound(due: Due, fetched: Fetched) -> Fetched:
    nothing = fetched.outcome == "ok" and fetched.body is None
    if nothing or (fetched.outcome == "not-modified" and due.document_id is None):
        return Fetched(outcome="broken", reason="no-body", duration_ms=fetched.duration_ms)
    url = fetched.final_url
    if url is not None:
        url = clean_text(url.encode("utf-8", "replace"))[:LONGEST_URL]
        return msgspec.structs.replace(fetched, final_url=url)
    return fetched
