"""Every document and URI of real agents that we have, through the reader: no exception, no loss."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from renown.spec.documents import read_document, registration_from, registration_json
from renown.spec.findings import FINDINGS
from renown.spec.names import name_key, skeleton
from renown.spec.text import is_hidden
from renown.spec.uris import parse_uri, read_inline
from tests.property.test_documents import assert_bounded

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"

pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"no documents of real agents at {REAL}: they are not ours to ship"
)


def rows(name: str) -> list[dict[str, Any]]:
    with (REAL / name).open() as lines:
        return [json.loads(line) for line in lines]


def served(row: dict[str, Any]) -> bytes:
    """A document as its README serialises it."""
    if "document" not in row:
        text: str = row["document_text"]
        return text.encode()
    return json.dumps(
        row["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def test_real_documents__all_of_them__are_read_and_kept_byte_by_byte(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows("registrations.jsonl"):
        raw = served(row)
        document = read_document(raw)
        counts[document.klass, document.reading] += 1

        assert document.raw == raw
        if "document" in row:
            assert hashlib.sha256(raw).hexdigest() == row["sha256"] == document.sha256.hex()
            assert document.content is not None
            assert msgspec.json.decode(document.content) == row["document"]
        assert all(finding.code in FINDINGS for finding in document.findings)
        if document.registration is not None:
            stored = registration_json(document.registration)
            assert registration_from(stored) == document.registration
            assert_bounded(msgspec.json.decode(stored))
            name = document.registration.name or ""
            assert len(name_key(name)) <= 200
            assert skeleton(skeleton(name)) == skeleton(name)

    with capsys.disabled():
        told = ", ".join(f"{k} {r} {n}" for (k, r), n in counts.most_common())
        sys.stdout.write(f"\nreal documents: {told}\n")
    assert sum(counts.values()) > 2_000


def test_real_documents__what_sorting_them_said__is_what_we_see() -> None:
    """Classes were set by hand, by the keys present; ours are finer where theirs say `other`."""
    ours = {
        "registration": {"registration"},
        "registration-without-type": {"untyped-registration"},
        "a2a-agent-card": {"agent-card"},
        "nft-metadata": {"nft-metadata"},
        "domain-proof-only": {"domain-proof"},
        "other": {"object", "nft-metadata", "untyped-registration"},
        "unparsable": {"not-json"},
    }
    for row in rows("registrations.jsonl"):
        assert read_document(served(row)).klass in ours[row["doc_class"]], row["sha256"]


def test_real_documents__names_services_and_claims__are_all_found() -> None:
    for row in rows("registrations.jsonl"):
        value = row.get("document")
        found = read_document(served(row)).registration
        if found is None or not isinstance(value, dict) or "8004" not in str(value.get("type")):
            continue
        assert (found.name or "") == str(value.get("name") or "").strip()[:200]
        services = value.get("services") or value.get("endpoints") or []
        if isinstance(services, list):  # lists beside the services may add one
            assert len(found.services) >= len(services)
            objects = [one for one in services if isinstance(one, dict)]
            endpoints = {one["endpoint"].strip() for one in objects if one.get("endpoint")}
            assert {one.endpoint for one in found.services} >= endpoints
        assert len(found.claims) == len(value.get("registrations") or [])


def test_real_uris__all_of_them__are_understood_and_inline_ones_read() -> None:
    counts: Counter[str] = Counter()
    for row in rows("agent-uris.jsonl"):
        raw = row["uri"].encode()
        uri = parse_uri(raw)
        counts[uri.kind] += 1
        assert not is_hidden(uri.text)
        if uri.kind in ("https", "http"):
            assert uri.text.rstrip("/") == row["uri"].strip().rstrip("/")
        if uri.kind in ("data", "json"):
            inline = read_inline(raw)
            if b"," not in raw:
                assert inline.reason == "no-comma"
                continue
            assert inline.body is not None, row["uri"][:80]
            assert read_document(inline.body).content is not None

    assert counts["unsupported"] < 10
    assert counts.keys() == {"https", "data", "json", "ipfs", "unsupported"}
