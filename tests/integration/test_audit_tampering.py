"""What a superuser can do to the audit log, and what `renown audit verify` says then."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from renown.audit.chain import FIRST_LINK, link_hash
from renown.audit.checkpoint import Signer
from renown.audit.merkle import Frontier, leaf_hash
from renown.ingest.notary import CheckpointFolder
from renown.ingest.notary.verifying import Verdict, verify
from renown.store import audit_stream
from renown.store.audit_entries import NewEntry, append
from renown.store.audit_payload import PAYLOAD
from renown.store.embedded import EmbeddedPostgres
from renown.store.pool import Conn, Tx, transaction
from tests.auditing import (
    OLD,
    SIGNER,
    a_log,
    checked,
    checked_at,
    notary,
    opened,
    request,
    written,
)

ENTRIES = 40
FORGER = Signer(SIGNER.verifier.name, bytes(32))

Tampering = Callable[[Conn], Awaitable[object]]


@pytest.fixture(scope="module")
def log(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A log that no test changes for good: each works in a transaction that is rolled back."""
    folder = tmp_path_factory.mktemp("checkpoints")
    asyncio.run(a_log(database_url, folder))
    return database_url, folder


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[list[tuple[str, str, str]]]:
    """What was done and what was said, printed at the end."""
    rows: list[tuple[str, str, str]] = []
    yield rows
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        widths = [max(len(row[n]) for row in rows) for n in range(2)]
        sys.stdout.write("\n\nwhat was done to the audit log -> what `verify` said\n")
        for done, kind, about in rows:
            sys.stdout.write(f"  {done:{widths[0]}}  {kind:{widths[1]}}  {about}\n")


def sql(*statements: str) -> Tampering:
    async def run(conn: Conn) -> None:
        for statement in statements:
            await conn.execute(statement)

    return run


def set_at(seq: int, assignment: str) -> Tampering:
    return sql(
        f"UPDATE audit_log SET {assignment} WHERE entry_id = "
        f"(SELECT entry_id FROM audit_leaf WHERE seq = {seq})"
    )


def delete_at(*seqs: int) -> str:
    numbers = ",".join(map(str, seqs))
    return (
        "DELETE FROM audit_log WHERE entry_id IN "
        f"(SELECT entry_id FROM audit_leaf WHERE seq IN ({numbers}))"
    )


def removed(*seqs: int, said: str, before: str = "2026-04-01T00:00:00+00:00") -> Tampering:
    """Entries removed, and an entry that says which, as retention writes it."""
    return sql(
        delete_at(*seqs),
        "INSERT INTO audit_log (at, action, subject, detail) VALUES ('2026-12-31Z', 'retention', "
        f'\'audit_log\', \'{{"before": "{before}", "ranges": {said}}}\')',
        "INSERT INTO audit_pending SELECT entry_id, at FROM audit_log WHERE action = 'retention'",
    )


REVIEWED = "SELECT entry_id, NULL, 'auditor', 'fine' FROM audit_leaf WHERE seq = 13"
REVIEW = f"INSERT INTO audit_review (entry_id, account_id, reviewer, note) {REVIEWED}"


async def review_by_the_rules(conn: Conn) -> None:
    """One that the triggers tell of, as they do where nobody keeps them from it."""
    await conn.execute("SET LOCAL session_replication_role = origin")
    await conn.execute(REVIEW)
    await conn.execute("SET LOCAL session_replication_role = replica")


def reviewed_then(statement: str) -> Tampering:
    async def run(conn: Conn) -> None:
        await review_by_the_rules(conn)
        await conn.execute(statement)

    return run


PARTITION = "audit_log_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM') || '"
CONTENTS = "action, subject, request_id, user_agent, method, route, status, before, after, detail"


async def swap_contents(conn: Conn) -> None:
    ids = await conn.fetch("SELECT entry_id FROM audit_leaf WHERE seq IN (5, 6)")
    low, high = sorted(row[0] for row in ids)
    await conn.execute(
        f"UPDATE audit_log a SET ({CONTENTS}) = (SELECT {CONTENTS} FROM audit_log b"
        f" WHERE b.entry_id = {low} + {high} - a.entry_id) WHERE entry_id IN ({low}, {high})"
    )


async def rewrite(conn: Conn, *, from_seq: int = 7, sign_as: Signer | None = None) -> None:
    """Change an entry and make all that is built on it fit: what the owner can do at best."""
    await set_at(from_seq, "account_id = 999")(conn)
    await rebuild(conn)
    await conn.execute("DELETE FROM audit_checkpoint")
    if sign_as is not None:
        await sign_again(conn, sign_as)


async def rebuild(conn: Conn) -> None:
    rows = await conn.fetch(
        f"SELECT f.seq, {PAYLOAD} FROM audit_leaf f JOIN audit_log l USING (entry_id) ORDER BY 1"
    )
    leaves, link = [leaf_hash(row[1].encode()) for row in rows], FIRST_LINK
    for seq, leaf in enumerate(leaves):
        link = link_hash(link, leaf)
        await conn.execute(
            "UPDATE audit_leaf SET leaf_hash = $2, link_hash = $3 WHERE seq = $1", seq, leaf, link
        )
    await conn.execute("DELETE FROM audit_node")
    await conn.executemany("INSERT INTO audit_node VALUES ($1, $2, $3)", Frontier().extend(leaves))


async def sign_again(conn: Conn, signer: Signer) -> None:
    rows = await conn.fetch("SELECT leaf_hash, link_hash FROM audit_leaf ORDER BY seq")
    tree = Frontier()
    tree.extend([row[0] for row in rows])
    root, link = tree.root(), rows[-1][1]
    await conn.execute(
        "INSERT INTO audit_checkpoint (size, root_hash, link_hash, note) VALUES ($1, $2, $3, $4)",
        *(len(rows), root, link, signer.note(len(rows), root, link)),
    )


def older_backup(size: int) -> Tampering:
    """The database as it was when it had `size` entries."""
    return sql(
        "DELETE FROM audit_log WHERE entry_id IN "
        f"(SELECT entry_id FROM audit_leaf WHERE seq >= {size})",
        f"DELETE FROM audit_leaf WHERE seq >= {size}",
        f"DELETE FROM audit_node WHERE (index + 1) << level::int > {size}",
        f"DELETE FROM audit_checkpoint WHERE size > {size}",
    )


async def pending_again(conn: Conn) -> None:
    """A second entry of an id that has a leaf, made to look as if it only waits."""
    await conn.execute(
        "INSERT INTO audit_log (entry_id, action, subject) "
        "SELECT entry_id, 'request', 'forged' FROM audit_leaf WHERE seq = 9"
    )
    await conn.execute(
        "INSERT INTO audit_pending SELECT entry_id, at FROM audit_log WHERE subject = 'forged'"
    )


async def unreviewed_removed(conn: Conn) -> None:
    """The entry of seq 3, had a rule wanted a review of it."""
    await conn.execute("UPDATE audit_leaf SET rule = 'by-hand' WHERE seq = 3")
    await removed(3, said="[[3, 3]]")(conn)


FIELDS = {
    "at": "at = at + interval '1 microsecond'",
    "action": "action = 'read'",
    "subject": "subject = 'x'",
    "subject_key": "subject_key = 'x'",
    "request_id": "request_id = gen_random_uuid()",
    "account_id": "account_id = 8",
    "key_id": "key_id = 'abcd1235'",
    "wallet": "wallet = NULL",
    "address": "address = ''",
    "user_agent": "user_agent = 'x'",
    "db_user": "db_user = 'x'",
    "program": "program = 'x'",
    "method": "method = 'PUT'",
    "route": "route = NULL",
    "status": "status = 200",
    "duration_ms": "duration_ms = 1.5",
    "before": "before = '{}'",
    "after": "after = '{}'",
    "detail": """detail = '{"request": {"n": 3}}'""",
}

CASES: list[tuple[str, Tampering, str, int]] = [
    *(
        (f"an entry's {name} changed", set_at(5, to), "entry-changed", 5)
        for name, to in FIELDS.items()
    ),
    (
        "its time set to infinity",
        sql(
            "ALTER TABLE audit_log DROP CONSTRAINT audit_log_at_check",
            "UPDATE audit_log SET at = 'infinity' WHERE entry_id = "
            "(SELECT entry_id FROM audit_leaf WHERE seq = 5)",
        ),
        "entry-changed",
        5,
    ),
    (
        "the rule that wants a review changed",
        sql("UPDATE audit_leaf SET rule = NULL WHERE seq = 13"),
        "entry-changed",
        13,
    ),
    ("an entry deleted", sql(delete_at(17)), "entry-missing", 17),
    ("the first entry deleted", sql(delete_at(0)), "entry-missing", 0),
    ("two entries swapped", swap_contents, "entry-changed", 5),
    (
        "two leaves swapped",
        sql(
            "UPDATE audit_leaf SET seq = -1 WHERE seq = 20",
            "UPDATE audit_leaf SET seq = 20 WHERE seq = 21",
            "UPDATE audit_leaf SET seq = 21 WHERE seq = -1",
        ),
        "link-broken",
        20,
    ),
    (
        "an entry inserted",
        sql(
            "INSERT INTO audit_log (entry_id, action, subject) VALUES (0, 'request', 'forged')",
            "DELETE FROM audit_pending",
        ),
        "entry-inserted",
        0,
    ),
    ("a second entry of an id inserted", pending_again, "entry-inserted", 10),
    (
        "an entry deleted before it had a number",
        sql("INSERT INTO audit_pending VALUES (10000, now())"),
        "pending-removed",
        ENTRIES,
    ),
    (
        "the month's partition dropped",
        sql(f"DO $$ BEGIN EXECUTE 'DROP TABLE {PARTITION}'; END $$"),
        "entry-missing",
        12,
    ),
    ("all entries truncated", sql("TRUNCATE audit_log"), "entry-missing", 0),
    (
        "entries and leaves of the tail deleted",
        sql(delete_at(*range(35, 40)), "DELETE FROM audit_leaf WHERE seq >= 35"),
        "truncated",
        35,
    ),
    ("the tail cut off with all built on it", older_backup(35), "truncated", 35),
    ("rolled back to an older backup", older_backup(12), "truncated", 12),
    (
        "rolled back, and other things done since",
        lambda conn: rewrite(conn, from_seq=12),
        "checkpoint-differs",
        12,
    ),
    ("a leaf deleted", sql("DELETE FROM audit_leaf WHERE seq = 22"), "leaf-missing", 22),
    (
        "a leaf's hash altered",
        sql("UPDATE audit_leaf SET leaf_hash = sha256('x') WHERE seq = 23"),
        "leaf-changed",
        23,
    ),
    (
        "a leaf's link altered",
        sql("UPDATE audit_leaf SET link_hash = sha256('x') WHERE seq = 23"),
        "link-broken",
        23,
    ),
    (
        "a hash of another length",
        sql(
            "ALTER TABLE audit_leaf DROP CONSTRAINT audit_leaf_leaf_hash_check",
            "UPDATE audit_leaf SET leaf_hash = 'x' WHERE seq = 24",
        ),
        "leaf-changed",
        24,
    ),
    (
        "a node altered",
        sql("UPDATE audit_node SET hash = sha256('x') WHERE level = 2 AND index = 4"),
        "node-wrong",
        16,
    ),
    (
        "a node deleted",
        sql("DELETE FROM audit_node WHERE level = 1 AND index = 3"),
        "node-missing",
        6,
    ),
    (
        "a node added",
        sql("INSERT INTO audit_node VALUES (3, 5, sha256('x'))"),
        "node-extra",
        40,
    ),
    (
        "a checkpoint's root altered",
        sql("UPDATE audit_checkpoint SET root_hash = sha256('x') WHERE size = 30"),
        "checkpoint-altered",
        30,
    ),
    (
        "a checkpoint's note altered",
        sql("UPDATE audit_checkpoint SET note = replace(note, E'\\n30\\n', E'\\n29\\n')"),
        "checkpoint-altered",
        30,
    ),
    (
        "a checkpoint's signature altered",
        sql(
            "UPDATE audit_checkpoint SET note = overlay(note placing 'AAAA' FROM length(note) - 20)"
            " WHERE size = 30"
        ),
        "checkpoint-forged",
        30,
    ),
    (
        "an entry deleted, and a forged entry of retention from before it",
        removed(20, said="[[20, 20]]", before="2026-04-01T00:00:00+00:00"),
        "entry-missing",
        20,
    ),
    (
        "an entry deleted, and a forged entry of retention up to now",
        removed(20, said="[[20, 20]]", before="2026-12-30T23:00:00+00:00"),
        "entry-missing",
        20,
    ),
    (
        "an entry that nobody reviewed deleted as if by retention",
        unreviewed_removed,
        "entry-missing",
        3,
    ),
    ("a review inserted", sql(REVIEW), "review-inserted", ENTRIES),
    (
        "a review altered",
        reviewed_then("UPDATE audit_review SET note = 'x'"),
        "review-changed",
        ENTRIES,
    ),
    ("a review deleted", reviewed_then("DELETE FROM audit_review"), "review-removed", ENTRIES),
    (
        "triggers disabled",
        sql("ALTER TABLE account DISABLE TRIGGER ALL"),
        "trigger-altered",
        ENTRIES,
    ),
    ("a trigger dropped", sql("DROP TRIGGER audit_insert ON api_key"), "trigger-altered", ENTRIES),
    ("everything rewritten to fit", rewrite, "checkpoint-differs", 0),
    (
        "everything rewritten and signed by another key",
        lambda conn: rewrite(conn, sign_as=FORGER),
        "checkpoint-differs",
        0,
    ),
    (
        "everything rewritten behind a checkpoint",
        lambda conn: rewrite(conn, from_seq=33),
        "checkpoint-differs",
        30,
    ),
]


@pytest.mark.parametrize(("done", "tamper", "kind", "seq"), CASES, ids=[c[0] for c in CASES])
async def test_tampering__by_a_superuser__is_named_with_the_first_entry(
    log: tuple[str, Path],
    table: list[tuple[str, str, str]],
    done: str,
    tamper: Tampering,
    kind: str,
    seq: int,
) -> None:
    found = await tampered(*log, tamper)

    assert not found.is_whole
    first = found.findings[0]
    table.append((done, first.kind, f"entry {first.seq}: {first.about}"))
    assert (first.kind, first.seq) == (kind, seq), found.findings


async def test_untouched__the_same_log__is_whole_and_all_is_under_checkpoints(
    log: tuple[str, Path], table: list[tuple[str, str, str]]
) -> None:
    found = await tampered(*log, sql())

    assert found.is_whole, found.findings
    assert (found.leaves, found.entries, found.pending) == (ENTRIES, ENTRIES, 0)
    assert found.covered == ENTRIES
    assert found.unchecked == []
    table.append(("nothing", "whole", "all under checkpoints outside the database"))


async def test_rewrite_of_everything__without_checkpoints_from_outside__is_not_seen_and_it_says_so(
    log: tuple[str, Path], table: list[tuple[str, str, str]]
) -> None:
    url, _ = log
    found = await tampered(url, None, rewrite)

    assert found.is_whole
    assert any("a rewrite of everything would not be seen" in said for said in found.unchecked)
    table.append(("everything rewritten, no checkpoints kept", "whole", found.unchecked[0]))


async def test_rewrite_signed_by_another_key__without_checkpoints_from_outside__is_a_forgery(
    log: tuple[str, Path], table: list[tuple[str, str, str]]
) -> None:
    url, _ = log
    found = await tampered(url, None, lambda conn: rewrite(conn, sign_as=FORGER))

    assert [one.kind for one in found.findings] == ["checkpoint-forged"]
    first = found.findings[0]
    table.append(("the same, signed by another key", first.kind, first.about))


async def test_entries_that_wait__are_counted_and_are_no_finding(log: tuple[str, Path]) -> None:
    found = await tampered(
        *log,
        sql("INSERT INTO audit_log (action, subject) VALUES ('request', 'new')"),
        triggers=True,
    )

    assert found.is_whole, found.findings
    assert found.pending == 1


async def test_functions_put_in_the_way__by_the_owner__are_not_called(
    log: tuple[str, Path], postgres: EmbeddedPostgres
) -> None:
    """A function of `public` whose types fit better would win, were `public` looked through."""

    async def shadow(conn: Conn) -> None:
        await set_at(5, "status = 200")(conn)
        await conn.execute(
            "CREATE FUNCTION public.octet_length(bytea) RETURNS int LANGUAGE sql AS 'SELECT 31';"
            "CREATE FUNCTION public.times(numeric, int) RETURNS numeric LANGUAGE sql AS 'SELECT 0';"
            "CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = int, FUNCTION = public.times)"
        )

    found = await tampered(*log, shadow)

    assert [(one.kind, one.seq) for one in found.findings] == [("entry-changed", 5)]


async def tampered(
    url: str, folder: Path | None, tamper: Tampering, *, triggers: bool = False
) -> Verdict:
    """What is said of the log after `tamper`, which is undone."""
    async with opened(url) as conn:
        work = conn.transaction()
        await work.start()
        try:
            if not triggers:
                await conn.execute("SET LOCAL session_replication_role = replica")
            await tamper(conn)
            return await checked(Tx(conn), folder)
        finally:
            await work.rollback()


# Retention ---------------------------------------------------------------------------------------


async def test_retention__removed_as_an_entry_without_a_number_says__is_told_as_unchecked(
    log: tuple[str, Path],
) -> None:
    found = await tampered(*log, removed(3, 4, 5, 9, said="[[3, 5], [9, 9]]"))

    assert found.is_whole, found.findings
    assert (found.leaves, found.entries, found.removed, found.pending) == (40, 36, 0, 1)
    assert any("4 entries are gone, and so far only" in said for said in found.unchecked)


@pytest.mark.parametrize("said", ["[[3, 4]]", "[[4, 9]]", "[]", "[[3]]", '"x"', "[[-1, 1e99]]"])
async def test_retention__more_removed_than_it_says__is_missing(
    log: tuple[str, Path], said: str
) -> None:
    found = await tampered(*log, removed(3, 4, 5, said=said))

    assert found.findings[0].kind == "entry-missing"


async def test_retention__numbered_and_signed__explains_only_what_was_before_it(
    fresh_database_url: str, tmp_path: Path
) -> None:
    url = fresh_database_url
    await a_log(url, tmp_path)
    async with opened(url) as conn, conn.transaction():
        await conn.execute("SET LOCAL renown.retention = 'on'")
        await conn.execute(delete_at(0, 1, 2))
        await append(
            conn,
            [
                NewEntry(
                    action="retention",
                    subject="audit_log",
                    at=OLD + timedelta(days=300),
                    detail={"before": "2026-04-01T00:00:00+00:00", "ranges": [[0, 2**60]]},
                )
            ],
        )
    await notary(url, tmp_path).run_until_idle()
    await written(url, [request(1)])
    await notary(url, tmp_path).run_until_idle()

    assert (await checked_at(url, tmp_path)).removed == 3
    later = await tampered(url, tmp_path, sql(delete_at(41)))
    assert (later.findings[0].kind, later.findings[0].seq) == ("entry-missing", 41)
    # The word of retention is an entry like the others.
    unsaid = await tampered(url, tmp_path, set_at(40, "detail = NULL"))
    assert {one.kind for one in unsaid.findings} == {"entry-missing", "entry-changed"}


async def test_checkpoint__deleted_in_the_database__is_named(log: tuple[str, Path]) -> None:
    found = await tampered(*log, sql("DELETE FROM audit_checkpoint WHERE size = 30"))

    assert any("those of 30 entries" in said for said in found.unchecked)


@pytest.mark.parametrize("action", ["retention", "restore"])
async def test_words_of_the_owner__written_by_a_service__are_refused(
    log: tuple[str, Path], action: str
) -> None:
    async def as_a_service(conn: Conn) -> None:
        await conn.execute("CREATE ROLE a_service; GRANT ALL ON audit_log TO a_service")
        await conn.execute("GRANT USAGE ON SEQUENCE audit_entry_id TO a_service")
        await conn.execute("SET LOCAL ROLE a_service")
        await append(conn, [NewEntry(action="request", subject="/v1/x")])
        await append(conn, [NewEntry(action=action, subject="audit_log")])

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only the owner"):
        await tampered(*log, as_a_service, triggers=True)


@pytest.mark.parametrize("at", ["20000-01-01Z", "0044-03-15Z BC", "infinity", "-infinity"])
async def test_time__that_no_program_reads__is_no_entry(log: tuple[str, Path], at: str) -> None:
    statement = f"INSERT INTO audit_log (action, subject, at) VALUES ('read', 'x', '{at}')"
    with pytest.raises(asyncpg.CheckViolationError):
        await tampered(*log, sql(statement), triggers=True)


async def test_verify__with_a_second_connection__sees_one_state_and_finds_the_same(
    fresh_database_url: str, tmp_path: Path
) -> None:
    url = fresh_database_url
    await a_log(url, tmp_path)

    async def both(between: Tampering) -> Verdict:
        """What is said by two that began before `between`, which is committed."""
        async with (
            opened(url) as one,
            opened(url) as other,
            opened(url) as third,
            transaction(one, "repeatable_read") as tx,
            transaction(other, "repeatable_read") as beside,
        ):
            await tx.fetchval("SELECT 1")
            await third.execute("SET session_replication_role = replica")
            await between(third)
            notes = CheckpointFolder(tmp_path).notes()
            return await verify(tx, [SIGNER.verifier], notes, beside=beside)

    before = await both(set_at(35, "route = '/elsewhere'"))  # in the second one's part
    after = await both(sql())

    assert before.is_whole
    assert (before.leaves, before.entries) == (ENTRIES, ENTRIES)
    assert after == await checked_at(url, tmp_path)
    assert [(one.kind, one.seq) for one in after.findings] == [("entry-changed", 35)]


async def test_verify__second_connection_of_a_role_with_limits__is_waited_for_however_long(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database_url
    await a_log(url, tmp_path)
    counted = audit_stream.prepare

    async def slowly(tx: Tx) -> audit_stream.Counts:
        """As of a log that is long."""
        await asyncio.sleep(0.2)
        return await counted(tx)

    monkeypatch.setattr(audit_stream, "prepare", slowly)
    async with opened(url) as one, opened(url) as other:
        await other.execute("SET idle_in_transaction_session_timeout = '100ms'")
        async with (
            transaction(one, "repeatable_read") as tx,
            transaction(other, "repeatable_read") as beside,
        ):
            found = await verify(tx, [SIGNER.verifier], None, beside=beside)

    assert (found.is_whole, found.entries) == (True, ENTRIES)


async def test_verify__second_connection_that_cannot_see_the_same__does_without(
    fresh_database_url: str, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    await a_log(fresh_database_url, tmp_path)
    async with (
        opened(fresh_database_url) as one,
        opened(postgres.dsn("postgres")) as other,
        transaction(one, "repeatable_read") as tx,
        transaction(other, "repeatable_read") as beside,
    ):
        found = await verify(tx, [SIGNER.verifier], None, beside=beside)

    assert (found.is_whole, found.entries) == (True, ENTRIES)
