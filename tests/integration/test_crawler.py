"""The crawler on a web that answers as told: what it reads, keeps, and reads again."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_hash.auto import keccak

from renown.ingest.crawler import patience, upkeep
from renown.ingest.crawler import reading as reading_module
from renown.ingest.crawler.reading import Reading
from renown.ingest.crawler.settling import settle
from renown.offchain.fetched import Fetched
from renown.spec.documents import read_document
from renown.spec.events import FeedbackGiven
from renown.store import uris
from tests.crawling import Clock, Web, crawl, due_agents, held, registration, rows, value
from tests.factories import BOB, DEVNET, Story
from tests.reading import reading

A, B = "https://a.example/0.json", "https://b.example/1.json"
NEVER = datetime(2099, 1, 1, tzinfo=UTC)
STATE = (
    "SELECT outcome, attempts, failures, unchanged, document_id IS NOT NULL FROM uri"
    " WHERE uri = convert_to($1, 'UTF8')"
)
HISTORY = (
    "SELECT r.outcome, r.status, d.raw FROM resolution r JOIN uri u USING (uri_id)"
    " LEFT JOIN document d ON d.document_id = r.document_id"
    " WHERE u.uri = convert_to($1, 'UTF8') ORDER BY r.attempted_at"
)


def inline(body: bytes) -> bytes:
    return b"data:application/json;base64," + b64encode(body)


async def put(url: str, *uris: str | bytes) -> Story:
    """Agents 0, 1, 2 … with these URIs, each in a block of its own."""
    story = Story()
    for agent_id, uri in enumerate(uris):
        story.mint(agent_id, uri=uri if isinstance(uri, bytes) else uri.encode()).next_block()
    await story.write(url)
    return story.next_block()


def give(story: Story, uri: str | bytes, content_hash: bytes = bytes(32), **fields: Any) -> None:
    told: dict[str, Any] = {
        "agent_id": 0, "client": BOB, "feedback_index": len(story.facts), "value": 80,
        "decimals": 0, "tag1": b"starred", "tag2": b"", "endpoint": b"",
    }  # fmt: skip
    story.add(
        FeedbackGiven,
        DEVNET.reputation,
        **told | fields,
        uri=uri if isinstance(uri, bytes) else uri.encode(),
        content_hash=content_hash,
    )


# Reading -----------------------------------------------------------------------------------------


async def test_crawl__inline_and_fetched__keeps_equal_bytes_once(fresh_database_url: str) -> None:
    file = registration()
    squeezed = b"data:application/json;enc=gzip;base64," + b64encode(zlib.compress(file, wbits=31))
    await put(fresh_database_url, A, inline(file), file, squeezed, B, b"")
    web = Web(**{A: file, B: registration("Bob")})

    tally = await crawl(fresh_database_url, web)

    assert (tally.outcomes, tally.documents) == ({"ok": 5}, 2)
    documents = "SELECT raw, class, reading, registration ->> 'name' FROM document ORDER BY 4"
    found = await rows(fresh_database_url, documents)
    assert [(row[0], row[3]) for row in found] == [(file, "Ada"), (registration("Bob"), "Bob")]
    read_from = "SELECT count(*) FROM uri WHERE document_id = (SELECT min(document_id) FROM uri)"
    assert await value(fresh_database_url, read_from) == 4
    attempts = "SELECT count(*), count(DISTINCT uri_id), min(size_bytes) FROM resolution"
    assert await rows(fresh_database_url, attempts) == [(5, 5, len(file))]


async def test_crawl__a_second_time__changes_nothing(fresh_database_url: str) -> None:
    story = await put(fresh_database_url, A, inline(registration()), "https://gone.example/")
    give(story, "https://files.example/f", keccak(b"{}"))
    await story.write(fresh_database_url)
    web = Web(**{A: registration("Web")})
    clock = Clock()
    await crawl(fresh_database_url, web, clock)
    before, calls = await held(fresh_database_url), len(web.calls)

    tally = await crawl(fresh_database_url, web, clock)

    assert tally.attempts == 0
    assert len(web.calls) == calls
    assert await held(fresh_database_url) == before


async def test_crawl__what_cannot_be_read__is_kept_as_it_came_out(fresh_database_url: str) -> None:
    hosts = {
        "refused": Fetched(outcome="refused", reason="private-address"),
        "dns": Fetched(outcome="dns-failed"),
        "slow": Fetched(outcome="timeout", duration_ms=10_000),
        "big": Fetched(outcome="too-large", status=200),
        "error": Fetched(outcome="http-error", status=500, body=b"<h1>no</h1>"),
        "empty": Fetched(outcome="ok", status=200, body=None),
        "liar": Fetched(outcome="not-modified", status=304),
    }
    uris = {name: f"https://{name}.example/" for name in hosts}
    await put(fresh_database_url, *uris.values(), b"data:;base64,!!!", b"gopher://x", "words")

    await crawl(fresh_database_url, Web(**{uris[name]: hosts[name] for name in hosts}))

    found = await rows(
        fresh_database_url,
        "SELECT split_part(host, '.', 1), outcome, reason, failures, attempts FROM uri"
        " WHERE host <> '' ORDER BY 1",
    )
    assert found == [
        ("big", "too-large", None, 1, 1),
        ("dns", "dns-failed", None, 1, 1),
        ("empty", "broken", "no-body", 1, 1),
        ("error", "http-error", None, 1, 1),
        ("liar", "broken", "no-body", 1, 1),
        ("refused", "refused", "private-address", 1, 1),
        ("slow", "timeout", None, 1, 1),
    ]
    given_up = "SELECT outcome, count(*) FROM uri WHERE due_at IS NULL GROUP BY 1 ORDER BY 1"
    assert await rows(fresh_database_url, given_up) == [("undecodable", 1), ("unsupported", 2)]
    assert await value(fresh_database_url, "SELECT count(*) FROM document") == 0
    assert await value(fresh_database_url, "SELECT count(*) FROM resolution") == 8


async def test_crawl__hostile_headers_and_places__are_stored_harmlessly(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, A, B)
    odd = {
        "etag": "\x00\ud800\u202e" + "x" * 5_000,
        "last-modified": "y" * 100_000,
    }
    web = Web(
        **{
            A: Fetched(
                outcome="ok", status=200, body=b"\x00\xff", headers=odd,
                final_url="https://x.example/\x00\ud800" + "z" * 9_000,
            ),
            B: Fetched(outcome="ok", status=200, body=b'{"a": "\\u0000\\ud800"}'),
        }
    )  # fmt: skip

    tally = await crawl(fresh_database_url, web)

    assert tally.outcomes == {"ok": 2}
    assert await rows(
        fresh_database_url, "SELECT etag, last_modified FROM uri ORDER BY host LIMIT 1"
    ) == [(None, None)]
    longest = "SELECT max(length(final_url)) FROM resolution"
    assert await value(fresh_database_url, longest) == reading_module.LONGEST_URL


async def test_crawl__one_that_cannot_be_kept__does_not_hold_up_the_others(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = b"poison"

    def read(body: bytes) -> Any:
        if body == poison:
            raise ZeroDivisionError
        return read_document(body)

    monkeypatch.setattr(reading_module, "read_document", read)
    await put(fresh_database_url, A, B, inline(poison), inline(registration("In")))

    tally = await crawl(fresh_database_url, Web(**{A: poison, B: registration()}))

    assert tally.outcomes == {"ok": 2, "broken": 2}
    assert await rows(fresh_database_url, STATE, A) == [("broken", 1, 1, 0, False)]
    assert await rows(fresh_database_url, STATE, B) == [("ok", 1, 0, 0, True)]


async def test_settle__an_attempt_of_a_claim_that_ran_out__is_kept_once(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, A)
    await crawl(fresh_database_url, Web(**{A: Fetched(outcome="timeout")}))
    async with reading(fresh_database_url) as conn:
        await conn.execute("UPDATE uri SET due_at = now(), attempts = 0")
        (due,) = await uris.claim(conn, 2, {"a.example": 1}, NEVER, until=NEVER, resting=True)
        fetched = Fetched(outcome="ok", status=200, body=b"{}")
        late = [Reading().attempt(due, NEVER + timedelta(hours=n), fetched) for n in (1, 2)]

        first = await settle(conn, late[:1], NEVER)
        second = await settle(conn, late[1:], NEVER)

    assert [one.outcomes for one in (*first, *second)] == [("ok",), ()]
    assert await rows(fresh_database_url, STATE, A) == [("ok", 1, 0, 0, True)]
    assert await value(fresh_database_url, "SELECT count(*) FROM resolution") == 2


# Reading again -----------------------------------------------------------------------------------


async def test_refresh__changed_three_times__keeps_every_version(fresh_database_url: str) -> None:
    await put(fresh_database_url, A)
    web, clock = Web(), Clock()
    versions = [registration(f"Ada {n}") for n in range(3)]
    for version in versions:
        web.answers[A] = version
        await crawl(fresh_database_url, web, clock)
        await crawl(fresh_database_url, web, clock)  # not due yet
        clock.pass_(days=2)

    history = await rows(fresh_database_url, HISTORY, A)
    assert history == [("ok", 200, version) for version in versions]
    assert web.asked(A) == 3


async def test_refresh__unchanged__sends_the_validators_and_backs_off(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, A)
    web, clock = Web(**{A: registration()}), Clock()
    for days in (1.2, 0.5, 1.2, 2.5, 4.6, 9, 18, 34):
        await crawl(fresh_database_url, web, clock, refresh=made)
        clock.pass_(days=days)

    assert web.calls[0].etag is None
    assert all(call.etag for call in web.calls[1:])
    assert len(web.calls) == 7  # on one of these days it was not due
    found = await rows(fresh_database_url, STATE, A)
    assert found == [("not-modified", len(web.calls), 0, len(web.calls) - 1, True)]
    good = "SELECT count(*) FROM resolution WHERE document_id IS NOT NULL"
    assert await value(fresh_database_url, good) == len(web.calls)
    last = "SELECT count(*) FROM uri u JOIN resolution r ON r.attempted_at = u.fetched_at"
    assert await value(fresh_database_url, last) == 1


async def test_refresh__gone_and_back__keeps_the_document_it_had(fresh_database_url: str) -> None:
    await put(fresh_database_url, A)
    web, clock = Web(**{A: registration()}), Clock()
    await crawl(fresh_database_url, web, clock)
    del web.answers[A]
    clock.pass_(days=1.2)
    await crawl(fresh_database_url, web, clock)
    assert await rows(fresh_database_url, STATE, A) == [("http-error", 2, 1, 0, True)]
    clock.pass_(hours=0.8)
    await crawl(fresh_database_url, web, clock)
    assert len(web.calls) == 2

    web.answers[A] = registration()
    clock.pass_(hours=0.4)
    await crawl(fresh_database_url, web, clock)
    assert await rows(fresh_database_url, STATE, A) == [("not-modified", 3, 0, 1, True)]


async def test_refresh__content_addressed__is_never_read_twice(fresh_database_url: str) -> None:
    cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
    await put(fresh_database_url, f"ipfs://{cid}", inline(b"{}"))
    proven = Fetched(outcome="ok", status=200, body=registration(), verified=True)
    web, clock = Web(**{f"ipfs://{cid}": proven}), Clock()
    for _ in range(5):
        await crawl(fresh_database_url, web, clock)
        clock.pass_(days=40)

    assert len(web.calls) == 1
    assert await value(fresh_database_url, "SELECT count(*) FROM resolution") == 2


async def test_refresh__no_agent_has_it_any_more__is_looked_at_no_more(
    fresh_database_url: str,
) -> None:
    story = await put(fresh_database_url, A)
    web, clock = Web(**{A: registration(), B: registration("B")}), Clock()
    await crawl(fresh_database_url, web, clock, refresh=made)
    await story.say_uri(0, B.encode()).write(fresh_database_url)
    await crawl(fresh_database_url, web, clock, refresh=made)
    for _ in range(4):
        clock.pass_(days=9)
        await crawl(fresh_database_url, web, clock, refresh=made)

    assert web.asked(A) == 2  # once more, before it is let go
    assert web.asked(B) >= 4

    await story.next_block().say_uri(0, A.encode()).write(fresh_database_url)
    await crawl(fresh_database_url, web, clock, refresh=made)
    assert web.asked(A) == 3


# Hosts -------------------------------------------------------------------------------------------


async def test_hosts__one_that_is_busy__is_left_alone_as_long_as_it_asks(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, *(f"https://busy.example/{n}" for n in range(9)), A)
    web, clock = Web(**{A: registration()}), Clock()
    for n in range(9):
        web.answers[f"https://busy.example/{n}"] = Fetched(
            outcome="http-error", status=429, retry_after_seconds=7_200
        )

    await crawl(fresh_database_url, web, clock, per_host=1)
    first = len(web.calls)
    assert web.asked(A) == 1
    assert first <= 4  # those under way when it said so
    clock.pass_(hours=1.9)
    await crawl(fresh_database_url, web, clock, per_host=1)
    assert len(web.calls) == first

    web.answers |= {f"https://busy.example/{n}": registration(str(n)) for n in range(9)}
    clock.pass_(hours=0.5)
    await crawl(fresh_database_url, web, clock, per_host=1)
    assert await value(fresh_database_url, "SELECT count(*) FROM document") == 10
    assert await value(fresh_database_url, "SELECT count(*) FROM host") == 0


async def test_hosts__one_that_is_down__has_its_thousands_given_up_and_taken_up_again(
    fresh_database_url: str,
) -> None:
    uris = [f"https://down.example/{n}" for n in range(300)]
    await put(fresh_database_url, *uris, A)
    nobody = Fetched(outcome="connect-failed")
    web, clock = Web(**{A: registration()} | dict.fromkeys(uris, nobody)), Clock()
    for _ in range(6):
        await crawl(fresh_database_url, web, clock)
        clock.pass_(minutes=6)

    asked = len(web.calls) - 1
    assert asked <= 30
    outcome = "SELECT outcome, count(*), min(attempts) FROM uri GROUP BY 1 ORDER BY 1"
    assert await rows(fresh_database_url, outcome) == [("connect-failed", 300, 1), ("ok", 1, 1)]
    why = "SELECT count(*) FROM resolution WHERE reason = $1"
    assert await value(fresh_database_url, why, patience.HOST_DOWN) >= 300 - asked

    # It is back when one of them has its turn, and the others need not wait for theirs.
    web.answers |= {uri: registration(uri) for uri in uris}
    clock.pass_(days=1.2)
    async with reading(fresh_database_url) as conn:
        await conn.execute(
            "UPDATE uri SET due_at = $1::timestamptz + interval '9 days'"
            " WHERE due_at <> (SELECT min(due_at) FROM uri WHERE host = 'down.example')",
            clock.now,
        )
    await crawl(fresh_database_url, web, clock)
    good = "SELECT count(*) FROM uri WHERE host = 'down.example' AND outcome = 'ok'"
    assert await value(fresh_database_url, good) >= 300 - asked


async def made(conn: Any) -> int:
    """A stand-in for the profiles: rows with nothing but the agent and its URI."""
    done: int = await conn.fetchval(
        """
        WITH due AS (DELETE FROM profile_due RETURNING chain_id, agent_id), made AS (
            INSERT INTO agent_profile
                   (chain_id, agent_id, uri_id, state, owner, created_at, active_at, revision)
            SELECT chain_id, agent_id, u.uri_id, 'pending', a.owner, a.created_at, a.created_at, 0
              FROM due JOIN agent a USING (chain_id, agent_id)
              LEFT JOIN uri u ON u.hash = sha256(a.uri)
                ON CONFLICT (chain_id, agent_id) DO UPDATE SET uri_id = excluded.uri_id)
        SELECT count(*) FROM due"""
    )
    return done


async def test_rows__of_agents_whose_file_came_or_changed__are_made_anew_and_no_others(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, A, A, B)
    web, clock = Web(**{A: registration(), B: registration("B")}), Clock()
    tally = await crawl(fresh_database_url, web, clock, refresh=made)
    assert tally.agents == 3 + 3  # each once for its facts, once for its file

    clock.pass_(days=1.2)
    assert (await crawl(fresh_database_url, web, clock, refresh=made)).agents == 0
    web.answers[A] = registration("Eva")
    clock.pass_(days=1.2)
    assert (await crawl(fresh_database_url, web, clock, refresh=made)).agents == 2


async def test_rows__a_well_known_file_changed__its_agents_are_looked_at_again(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, A)
    await crawl(fresh_database_url, Web())
    known = "https://a.example/.well-known/agent-registration.json"
    async with reading(fresh_database_url) as conn:
        await conn.execute(
            "WITH u AS (INSERT INTO uri (hash, uri, kind, host, fixed, stage, due_at)"
            " VALUES (sha256($1), $1, 'https', 'a.example', false, 0, now()) RETURNING uri_id)"
            " INSERT INTO agent_domain (chain_id, agent_id, host, state, by_uri, uri_id)"
            " SELECT 31337, 0, 'a.example', 'pending', false, uri_id FROM u",
            known.encode(),
        )
        await conn.execute("DELETE FROM profile_due")

    await crawl(fresh_database_url, Web(**{known: b'{"registrations": []}'}))

    async with reading(fresh_database_url) as conn:
        assert await due_agents(conn) == [0]


async def test_rows__cannot_be_made__is_no_reason_to_stop_crawling(
    fresh_database_url: str,
) -> None:
    async def broken(_: Any) -> int:
        raise ZeroDivisionError

    await put(fresh_database_url, A)

    tally = await crawl(fresh_database_url, Web(**{A: registration()}), refresh=broken)

    assert tally.outcomes == {"ok": 1}


# Attachments -------------------------------------------------------------------------------------

VERDICTS = """
SELECT convert_from(u.uri, 'UTF8'), a.verdict FROM attachment a JOIN uri u USING (uri_id)
 ORDER BY a.block_number, a.log_index
"""


async def test_attachments__of_every_kind__get_their_verdict(fresh_database_url: str) -> None:
    file = json.dumps({"value": 80, "valueDecimals": 0}).encode()
    cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
    story = await put(fresh_database_url, b"")
    base = "https://files.example/"
    give(story, base + "bytes", keccak(file))
    give(story, base + "mismatch", keccak(b"else"))
    give(story, base + "absent")
    give(story, base + "gone", keccak(file))
    give(story, f"ipfs://{cid}")
    give(story, inline(file), keccak(file))
    give(story, "no uri at all")
    await story.write(fresh_database_url)
    web = Web(**{base + name: file for name in ("bytes", "mismatch", "absent")})
    web.answers[f"ipfs://{cid}"] = Fetched(outcome="ok", status=200, body=file, verified=True)

    await crawl(fresh_database_url, web)

    assert await rows(fresh_database_url, VERDICTS) == [
        (base + "bytes", "bytes"),
        (base + "mismatch", "mismatch"),
        (base + "absent", "absent"),
        (base + "gone", "unfetchable"),
        (f"ipfs://{cid}", "content-id"),
        (inline(file).decode(), "bytes"),
        ("no uri at all", "unfetchable"),
    ]


async def test_attachments__named_after_the_file_was_read__are_judged_without_asking_again(
    fresh_database_url: str,
) -> None:
    file = inline(b"{}")
    story = await put(fresh_database_url, file, A)
    web, clock = Web(**{A: b"{}"}), Clock()
    await crawl(fresh_database_url, web, clock)
    give(story, file, keccak(b"{}"))
    give(story, A, keccak(b"other"))
    await story.write(fresh_database_url)

    tally = await crawl(fresh_database_url, web, clock)

    assert tally.attempts == 0
    assert [row[1] for row in await rows(fresh_database_url, VERDICTS)] == ["bytes", "mismatch"]


async def test_attachments__the_file_changes__the_verdicts_of_all_that_name_it_follow(
    fresh_database_url: str,
) -> None:
    story = await put(fresh_database_url, b"")
    for n in range(1_200):
        give(story, A, keccak(b"{}") if n % 2 else bytes(32))
    await story.write(fresh_database_url)
    web, clock = Web(**{A: b"{}"}), Clock()
    count = "SELECT verdict, count(*), count(document_id) FROM attachment GROUP BY 1 ORDER BY 1"
    await crawl(fresh_database_url, web, clock)
    assert await rows(fresh_database_url, count) == [("absent", 600, 600), ("bytes", 600, 600)]

    web.answers[A] = b"[]"
    clock.pass_(days=1.2)
    await crawl(fresh_database_url, web, clock)
    assert await rows(fresh_database_url, count) == [("absent", 600, 600), ("mismatch", 600, 600)]


# Upkeep ------------------------------------------------------------------------------------------


async def test_upkeep__attempts_of_long_ago__shrink_to_changes_and_counts(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, A)
    clock, web = Clock(), Web(**{A: registration("1")})
    await crawl(fresh_database_url, web, clock)
    async with reading(fresh_database_url) as conn:
        other = await conn.fetchval(
            "INSERT INTO document (sha256, raw, size_bytes, class, reading, reader)"
            " VALUES (sha256(''), '', 0, 'not-json', 'none', 1) RETURNING document_id"
        )
        first = await conn.fetchval("SELECT document_id FROM uri")
        old = [("ok", first)] * 3 + [("http-error", None)] * 3 + [("not-modified", first)]
        old += [("ok", other), ("not-modified", other), ("ok", first)]
        for hour, (outcome, document) in enumerate(old):
            await conn.execute(
                "INSERT INTO resolution (uri_id, attempted_at, outcome, status, duration_ms,"
                " document_id) SELECT uri_id, $1::timestamptz - interval '120 days'"
                " + make_interval(hours => $2), $3, 200, 1, $4 FROM uri",
                *(clock.now, hour, outcome, document),
            )
        # What the URI's own row speaks of stays: the last success, and the last attempt.
        await conn.execute(
            "UPDATE uri SET fetched_at = $1::timestamptz + interval '2 hours',"
            " attempted_at = $1::timestamptz + interval '5 hours'",
            clock.now - timedelta(days=120),
        )
        shrinking = upkeep.Shrinking()
        while await shrinking.step(conn, clock.now):
            pass
        kept = await conn.fetch("SELECT outcome, document_id FROM resolution ORDER BY attempted_at")
        assert [tuple(row) for row in kept] == [
            ("ok", first),
            ("ok", first),
            ("http-error", None),
            ("http-error", None),
            ("not-modified", first),
            ("ok", other),
            ("ok", first),
            ("ok", first),  # of today
        ]
        counted = await conn.fetchrow("SELECT sum(attempts), sum(good) FROM resolution_day")
        assert counted is not None
        assert tuple(counted) == (3, 2)

        again = upkeep.Shrinking()
        while await again.step(conn, clock.now):
            pass
        assert await conn.fetchval("SELECT count(*) FROM resolution") == 8
        assert await conn.fetchval("SELECT sum(attempts) FROM resolution_day") == 3


async def test_upkeep__documents_of_an_older_reader__are_read_again(
    fresh_database_url: str,
) -> None:
    story = await put(fresh_database_url, A)
    give(story, A, keccak(registration()))
    await story.write(fresh_database_url)
    clock = Clock()
    await crawl(fresh_database_url, Web(**{A: registration()}), clock, refresh=made)
    async with reading(fresh_database_url) as conn:
        current = await conn.fetchrow("SELECT * FROM document")
        await conn.execute(
            "UPDATE document SET reader = reader - 1, class = 'html', content = NULL,"
            " registration = NULL, reading = 'none', template = NULL"
        )
        await conn.execute("UPDATE attachment SET verdict = 'pending'")
        await conn.execute("UPDATE agent_profile SET document_id = $1", current and current[0])

        assert await upkeep.read_again(conn, clock.now) == 1
        assert await upkeep.read_again(conn, clock.now) == 0

        assert await conn.fetchrow("SELECT * FROM document") == current
        assert await due_agents(conn) == [0]
        assert await conn.fetchval("SELECT verdict FROM attachment") == "bytes"


async def test_crawl__nothing_indexed__is_done_at_once(fresh_database_url: str) -> None:
    assert (await crawl(fresh_database_url, Web())).attempts == 0
