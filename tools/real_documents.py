"""What the reader makes of documents and URIs that real agents published.

python tools/real_documents.py FOLDER     with registrations.jsonl and agent-uris.jsonl in it

Prints how many documents are read strictly, tolerantly and not at all, by class, how many have each
finding, and what the URIs are. Nothing in them is ever fetched.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from renown.spec.documents import Document, read_document
from renown.spec.findings import FINDINGS
from renown.spec.uris import parse_uri, read_inline

READINGS = ("strict", "tolerant", "none")


def documents(folder: Path) -> Iterator[bytes]:
    """The documents, as `sha256` has them: keys sorted, compact, UTF-8; unparsable ones as text."""
    with (folder / "registrations.jsonl").open() as lines:
        for line in lines:
            row = json.loads(line)
            if "document" in row:
                yield json.dumps(
                    row["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
                ).encode()
            else:
                yield row["document_text"].encode()


def uris(folder: Path) -> Iterator[bytes]:
    """The URIs of agents, verbatim."""
    with (folder / "agent-uris.jsonl").open() as lines:
        for line in lines:
            yield json.loads(line)["uri"].encode()


def readings(read: Iterable[Document]) -> list[str]:
    """A table of classes and readings."""
    counts = Counter((document.klass, document.reading) for document in read)
    classes = sorted({klass for klass, _ in counts}, key=lambda k: -_sum(counts, k))
    rows = [[klass, *(str(counts[klass, r]) for r in READINGS)] for klass in classes]
    totals = [str(sum(counts[k, r] for k in classes)) for r in READINGS]
    return _table(("class", *READINGS), [*rows, ["all", *totals]])


def findings(read: Sequence[Document]) -> list[str]:
    """A table of codes: documents that have it at least once."""
    counts = Counter(code for one in read for code in {found.code for found in one.findings})
    rows = [
        [code, FINDINGS[code].severity, str(count), f"{100 * count / len(read):.1f} %"]
        for code, count in counts.most_common()
    ]
    return _table(("finding", "severity", "documents", "share"), rows)


def uri_kinds(raws: Iterable[bytes]) -> list[str]:
    """A table of what URIs are, and of allowances made for inline ones."""
    counts: Counter[tuple[str, str]] = Counter()
    for raw in raws:
        uri = parse_uri(raw)
        counts[uri.kind, uri.reason or ""] += 1
        if uri.kind in ("data", "json"):
            inline = read_inline(raw)
            counts[f"  {uri.kind}", inline.reason or "read"] += 1
            for finding in inline.findings:
                counts[f"    {finding.code}", finding.detail] += 1
    return _table(("uri", "why", "count"), [[*key, str(n)] for key, n in counts.most_common()])


def _sum(counts: Counter[tuple[str, str]], klass: str) -> int:
    return sum(counts[klass, reading] for reading in READINGS)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (head, *rows)
    ]


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 64
    folder = Path(sys.argv[1])
    read = [read_document(raw) for raw in documents(folder)]
    for table in (readings(read), findings(read), uri_kinds(uris(folder))):
        print(*table, "", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
