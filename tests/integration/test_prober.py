"""The prober on PostgreSQL: rounds, histories, turns, rests, restarts, and what search is told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import structlog

from renown.errors import DatabaseUnavailable, SchemaBehind
from renown.ingest.prober import Prober
from renown.offchain.fetched import Fetched
from renown.spec.documents.model import Finding, Registration, Service
from renown.spec.protocols import Offers, declared
from renown.store import probes
from renown.store.endpoints import link, link_many, offers
from renown.store.locks import only_one
from renown.store.pool import connect, transaction
from renown.store.uris import plan_by_key

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
GAP = timedelta(minutes=11)


async def until(condition):
    """Wait until `condition()` holds; for work that has no event of its own."""
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Clock:
    """The time the prober sees."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


class Hosts:
    """Fetches nothing: answers pages by host, and counts what is under way."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked = []
        self.under_way = []
        self.most = 0
        self.most_of_one = 0
        self.wait_seconds = 0.0

    async def send(self, method, url, *, headers={}, body=b"", enough=None):  # noqa: B006
        host = url.split("/")[2].partition(":")[0]
        self.asked.append((method, url))
        self.under_way.append(host)
        self.most = max(self.most, len(self.under_way))
        self.most_of_one = max(self.most_of_one, self.under_way.count(host))
        try:
            await asyncio.sleep(self.wait_seconds)
        finally:
            self.under_way.remove(host)
        if "renown-control" in url:
            return Fetched(outcome="http-error", status=404, body=b"no", duration_ms=1)
        answer = self.answers.get(host.partition(".")[0], 200)
        if isinstance(answer, Fetched):
            return answer
        if answer == 200:
            return Fetched(outcome="ok", status=200, body=b"page", duration_ms=7)
        return Fetched(outcome="http-error", status=answer, body=b"page", duration_ms=7)


DEAD = Fetched(outcome="dns-failed", reason="no-such-name")
BUSY = Fetched(outcome="http-error", status=429, retry_after_seconds=7_200.0)


@pytest.fixture
async def conn(fresh_database_url):
    opened = await connect(fresh_database_url)
    yield opened
    await opened.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def prober(fresh_database_url, clock):
    def make(sender, **more):
        options = {"pause_seconds": 0, "idle_seconds": 0.02, "clock": clock, **more}
        return Prober(lambda: connect(fresh_database_url), sender, **options)

    return make


def file(*endpoints, name=None):
    services = tuple(
        Service(position=n, kind=kind, name=kind, endpoint=endpoint, **more)
        for n, (kind, endpoint, more) in enumerate((*one, {})[:3] for one in endpoints)
    )
    return Registration(name=name, services=services)


async def declare(conn, agent_id, *endpoints):
    registration = file(*endpoints)
    async with transaction(conn) as tx:
        await link(tx, 1, agent_id, declared(registration))
    await conn.execute("UPDATE endpoint SET due_at = $1 WHERE due_at > $1", START)
    return registration


async def endpoint(conn, url):
    return await conn.fetchrow("SELECT * FROM endpoint WHERE url = $1", url)


async def due_agents(conn):
    rows = await conn.fetch("SELECT agent_id FROM profile_due ORDER BY agent_id")
    return [row[0] for row in rows]


# Links -------------------------------------------------------------------------------------------


async def test_link__when_file_changes__then_old_endpoints_rest_and_keep_their_history(conn):
    await declare(conn, 1, ("web", "https://a.example/"), ("mcp", "https://a.example/mcp"))
    await declare(conn, 2, ("web", "https://a.example/"))
    assert await conn.fetchval("SELECT count(*) FROM endpoint") == 2
    await declare(conn, 1, ("mcp", "https://b.example/mcp"))
    rows = await conn.fetch(
        """SELECT url, due_at IS NOT NULL,
                  (SELECT array_agg(agent_id ORDER BY agent_id) FROM agent_endpoint l
                    WHERE l.endpoint_id = e.endpoint_id)
             FROM endpoint e ORDER BY url"""
    )
    assert [tuple(row) for row in rows] == [
        ("https://a.example/", True, [2]),
        ("https://a.example/mcp", False, None),
        ("https://b.example/mcp", True, [1]),
    ]
    await declare(conn, 1, ("mcp", "https://a.example/mcp"))
    assert (await endpoint(conn, "https://a.example/mcp"))["due_at"] is not None
    assert (await endpoint(conn, "https://b.example/mcp"))["due_at"] is None


async def test_link__when_repeated__then_nothing_changes(conn):
    services = [("web", "https://a.example/"), ("other", "https://a.example/")]
    await declare(conn, 1, *services)
    before = await conn.fetch("SELECT ctid, * FROM agent_endpoint")
    await declare(conn, 1, *services)
    assert await conn.fetch("SELECT ctid, * FROM agent_endpoint") == before
    assert await conn.fetchval("SELECT count(*) FROM endpoint") == 1


async def test_link_many__when_one_agent_has_none__then_only_its_links_go(conn):
    await declare(conn, 1, ("web", "https://a.example/"))
    await declare(conn, 2, ("web", "https://b.example/"))
    async with transaction(conn) as tx:
        await link_many(tx, {(1, 1): (), (5, 9): ()})
    rows = await conn.fetch("SELECT agent_id FROM agent_endpoint")
    assert [row[0] for row in rows] == [2]


async def test_link_many__when_most_stays__then_only_the_rest_is_written(conn):
    await plan_by_key(conn)
    many = {
        (1, n): declared(file(*(("web", f"https://h{n}.example/{at}") for at in range(4))))
        for n in range(20)
    }
    written = []

    def note(query):
        if not query.query.lstrip().startswith("SELECT"):
            written.append(query.query.split()[0])

    async def again():
        written.clear()
        async with transaction(conn) as tx:
            with conn.query_logger(note):
                await link_many(tx, many)
        rows = await conn.fetch(
            """SELECT chain_id, agent_id, position, protocol, url, due_at IS NOT NULL
                 FROM agent_endpoint JOIN endpoint USING (endpoint_id, protocol)"""
        )
        wanted = [(*key, d.position, d.protocol, d.url, True) for key in many for d in many[key]]
        assert sorted(map(tuple, rows)) == sorted(wanted)

    await again()
    await again()
    assert set(written) <= {"BEGIN;", "COMMIT;"}
    many[1, 3] = (many[1, 4][0], *many[1, 3][1:3])
    await again()
    rests = await conn.fetch("SELECT url FROM endpoint WHERE due_at IS NULL ORDER BY url")
    assert [row[0] for row in rests] == ["https://h3.example/0", "https://h3.example/3"]


# Rounds ------------------------------------------------------------------------------------------


async def test_prober__when_two_rounds_agree__then_verdict_history_and_agents_told(
    conn, prober, clock
):
    await declare(conn, 7, ("web", "https://a.example/"))
    await declare(conn, 8, ("web", "https://a.example/"))
    asks = prober(Hosts())
    assert (await asks.run_until_idle()).checks == 1
    row = await endpoint(conn, "https://a.example/")
    assert (row["verdict"], row["leaning"], row["rounds"]) == ("unknown", "alive", 1)
    assert await due_agents(conn) == []
    assert (await asks.run_until_idle()).checks == 0, "not before a few minutes"
    clock.now += GAP * 1.5
    tally = await asks.run_until_idle()
    assert (tally.checks, tally.changed) == (1, 1)
    row = await endpoint(conn, "https://a.example/")
    assert (row["verdict"], row["verdict_at"], row["latency_ms"]) == ("alive", clock.now, 7)
    assert (row["checks"], row["good_checks"]) == (2, 2)
    assert timedelta(hours=21) < row["due_at"] - clock.now < timedelta(hours=27)
    assert await due_agents(conn) == [7, 8]
    checks = await conn.fetch("SELECT checked_at, good, leaning, status FROM endpoint_check")
    assert [tuple(check) for check in checks] == [
        (START, True, "alive", 200),
        (clock.now, True, "alive", 200),
    ]


async def test_prober__when_one_check_fails__then_verdict_holds_until_the_second(
    conn, prober, clock
):
    await declare(conn, 7, ("web", "https://a.example/"))
    hosts = Hosts()
    asks = prober(hosts)
    for _ in range(2):
        await asks.run_until_idle()
        clock.now += GAP * 1.5
    hosts.answers["a"] = 500
    clock.now += timedelta(days=1, hours=3)
    await asks.run_until_idle()
    row = await endpoint(conn, "https://a.example/")
    assert (row["verdict"], row["leaning"]) == ("alive", "dead")
    clock.now += GAP * 1.5
    await asks.run_until_idle()
    row = await endpoint(conn, "https://a.example/")
    assert (row["verdict"], row["verdict_at"]) == ("dead", clock.now)
    found = await offers(conn, {(1, 7): file(("web", "https://a.example/"))})
    assert found[1, 7] == Offers(
        x402=False,
        alive=False,
        findings=(Finding("endpoint-dead", "/services/0", "https://a.example/"),),
    )


async def test_prober__when_dead_for_long__then_asked_ever_more_seldom(conn, prober, clock):
    await declare(conn, 7, ("web", "https://a.example/"))
    asks = prober(Hosts(a=500))
    times = []
    for _ in range(12):
        clock.now = max(clock.now, (await endpoint(conn, "https://a.example/"))["due_at"])
        assert (await asks.run_until_idle()).checks == 1
        times.append(clock.now)
    pauses = [after - before for before, after in pairwise(times[1:])]
    assert all(after > 0.8 * before for before, after in pairwise(pauses))
    assert timedelta(days=26) < pauses[-1] < timedelta(days=34)


async def test_offers__when_never_probed__then_unknown(conn):
    registration = await declare(conn, 7, ("mcp", "https://a.example/mcp"))
    assert await offers(conn, {(1, 7): registration, (1, 8): None}) == {
        (1, 7): Offers(),
        (1, 8): Offers(),
    }


async def test_prober__when_capabilities_change_but_not_the_verdict__then_agents_are_told(
    conn, prober, clock
):
    await declare(conn, 7, ("x402", "https://a.example/paid"))
    body = (
        b'{"x402Version": 1, "accepts": [{"scheme": "exact", "network": "base",'
        b' "maxAmountRequired": "%d", "payTo": "0x1", "asset": "0x2"}]}'
    )
    hosts = Hosts(a=Fetched(outcome="http-error", status=402, body=body % 5))
    asks = prober(hosts)
    for _ in range(2):
        await asks.run_until_idle()
        clock.now += GAP * 1.5
    await conn.execute("DELETE FROM profile_due")
    clock.now += timedelta(days=2)
    assert (await asks.run_until_idle()).changed == 0
    assert await due_agents(conn) == []
    hosts.answers["a"] = Fetched(outcome="http-error", status=402, body=body % 6)
    clock.now += timedelta(days=2)
    assert (await asks.run_until_idle()).changed == 1
    assert await due_agents(conn) == [7]


# Politeness --------------------------------------------------------------------------------------


async def test_a9_prober__when_ten_thousand_agents_on_one_host__then_one_at_a_time_and_others_first(
    conn, prober
):
    many = {(1, n): declared(file(("web", f"https://crowd.example/{n}"))) for n in range(10_000)}
    async with transaction(conn) as tx:
        await link_many(tx, many)
    for n in range(20):
        await declare(conn, 20_000 + n, ("web", f"https://z{n}.example/"))
    hosts = Hosts()
    asks = asyncio.create_task(prober(hosts, per_host=8).run_until_idle())

    async def small_hosts_done():
        return len({url for _, url in hosts.asked if "crowd" not in url}) >= 40 or asks.done()

    await until(small_hosts_done)
    crowd = sum("crowd" in url for _, url in hosts.asked)
    asks.cancel()
    await asyncio.gather(asks, return_exceptions=True)
    assert hosts.most_of_one == 1
    assert crowd < 600, "the small hosts were served before the crowd was through"


async def test_a9_prober__when_one_host_has_all__then_never_two_at_once(conn, prober):
    async with transaction(conn) as tx:
        await link_many(
            tx, {(1, n): declared(file(("web", f"https://one.example/{n}"))) for n in range(40)}
        )
    await conn.execute("UPDATE endpoint SET due_at = $1", START)
    hosts = Hosts()
    hosts.wait_seconds = 0.001
    assert (await prober(hosts, per_host=3, connections=8).run_until_idle()).checks == 40
    assert hosts.most_of_one == 1


async def test_prober__when_many_hosts__then_as_many_at_once_as_allowed(conn, prober):
    for n in range(12):
        await declare(conn, n, ("web", f"https://h{n}.example/"))
    hosts = Hosts()
    hosts.wait_seconds = 0.02
    await prober(hosts, connections=4).run_until_idle()
    assert hosts.most == 4


async def test_prober__when_host_is_slow__then_others_do_not_wait(conn, prober):
    for n in range(6):
        await declare(conn, n, ("web", f"https://slow.example/{n}"))
    for n in range(6):
        await declare(conn, 10 + n, ("web", f"https://h{n}.example/"))

    answers = asyncio.Event()

    class Slow(Hosts):
        async def send(self, method, url, **more):
            if "slow" in url:
                await answers.wait()
            return await super().send(method, url, **more)

    hosts = Slow()
    asks = asyncio.create_task(prober(hosts, connections=2).run_until_idle())

    async def others_done():
        return await conn.fetchval("SELECT count(*) FROM endpoint_check") == 6

    await until(others_done)
    answers.set()
    assert (await asks).checks == 12


async def test_prober__when_host_opted_out__then_never_asked_and_stays_unknown(conn, prober):
    await declare(conn, 1, ("web", "https://quiet.example/"))
    await declare(conn, 2, ("web", "https://a.below.example/"))
    hosts = Hosts()
    tally = await prober(hosts, opt_out=["quiet.example", "*.below.example"]).run_until_idle()
    assert (tally.checks, hosts.asked) == (0, [])
    rows = await conn.fetch("SELECT verdict, due_at FROM endpoint")
    assert {tuple(row) for row in rows} == {("unknown", None)}
    await prober(hosts).run_until_idle()
    assert len({url for _, url in hosts.asked if "control" not in url}) == 2, "opted in again"


async def test_prober__when_host_wants_rest__then_all_of_it_rests(conn, prober, clock):
    for n in range(3):
        await declare(conn, n, ("web", f"https://busy.example/{n}"))
    hosts = Hosts(busy=BUSY)
    await prober(hosts).run_until_idle()
    clock.now += timedelta(hours=1)
    await prober(hosts).run_until_idle()
    assert len(hosts.asked) == 1
    rested = await conn.fetchrow("SELECT host, rest_until, reason FROM host")
    assert tuple(rested) == ("busy.example", START + timedelta(hours=2), "asked-too-much")
    hosts.answers.clear()
    clock.now += timedelta(hours=2)
    await prober(hosts).run_until_idle()
    assert await conn.fetchval("SELECT count(*) FROM host") == 0
    rows = await conn.fetch("SELECT verdict, leaning FROM endpoint")
    assert {tuple(row) for row in rows} == {("unknown", "alive")}


async def test_prober__when_name_does_not_resolve__then_asked_once_for_all_its_endpoints(
    conn, prober
):
    for n in range(5):
        await declare(conn, n, ("web", f"https://gone.example/{n}"))
    hosts = Hosts(gone=DEAD)
    tally = await prober(hosts).run_until_idle()
    assert len(hosts.asked) == 1
    assert tally.seen == {"dead": 5}


async def test_prober__when_all_good_hosts_fall_silent__then_it_doubts_itself(conn, prober, clock):
    for n in range(12):
        await declare(conn, n, ("web", f"https://h{n}.example/"))
    hosts = Hosts()
    asks = prober(hosts)
    for _ in range(2):
        await asks.run_until_idle()
        clock.now += GAP * 1.5
    hosts.answers = {f"h{n}": DEAD for n in range(12)}
    clock.now += timedelta(days=2)
    for _ in range(4):
        await asks.run_until_idle()
        clock.now += GAP * 1.5
    rows = await conn.fetch("SELECT verdict, count(*) FROM endpoint GROUP BY 1")
    assert [tuple(row) for row in rows] == [("alive", 12)]


async def test_prober__when_nobody_declares_it_any_longer__then_not_asked(conn, prober):
    await declare(conn, 1, ("web", "https://a.example/"))
    await conn.execute("DELETE FROM agent_endpoint")
    hosts = Hosts()
    await prober(hosts).run_until_idle()
    assert hosts.asked == []
    assert (await endpoint(conn, "https://a.example/"))["due_at"] is None


async def test_claim__when_taken__then_nobody_gets_it_again_before_the_lease_is_over(conn):
    for n in range(5):
        await declare(conn, n, ("web", f"https://{'ab'[n % 2]}.example/{n}"))

    async def claim(now=START, **more):
        options = {"after_host": "", "hosts": 9, "per_host": 2, **more}
        found = await probes.claim(conn, now=now, **options)
        return {host: len(targets) for host, targets in found.by_host.items()}, found.last_host

    assert await claim(hosts=1) == ({"a.example": 2}, "a.example")
    assert await claim(after_host="a.example") == ({"b.example": 2}, "")
    assert await claim(busy=["a.example"]) == ({}, "")
    assert await claim() == ({"a.example": 1}, "")
    assert await claim() == ({}, "")
    assert await claim(now=START + probes.LEASE) == ({"a.example": 2, "b.example": 2}, "")


# Restarts ----------------------------------------------------------------------------------------


async def test_prober__when_killed_under_way__then_due_again_and_nothing_doubled(
    conn, prober, clock
):
    for n in range(30):
        await declare(conn, n, ("web", f"https://h{n % 10}.example/{n}"))
    hosts = Hosts()
    hosts.wait_seconds = 0.005
    for n in range(6):
        task = asyncio.create_task(prober(hosts, connections=3).run_until_idle())
        await asyncio.sleep(0.02 + 0.01 * n)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    clock.now += probes.LEASE
    while (await prober(hosts).run_until_idle()).checks:
        clock.now += GAP * 1.5
    counts = await conn.fetch("SELECT verdict, checks, good_checks FROM endpoint")
    assert {row["verdict"] for row in counts} == {"alive"}
    stored = await conn.fetch("SELECT endpoint_id, count(*) FROM endpoint_check GROUP BY 1")
    assert len(stored) == 30
    assert sum(row["checks"] for row in counts) == sum(row[1] for row in stored)


async def test_prober__when_two_run__then_the_second_stands_by(conn, prober, fresh_database_url):
    await declare(conn, 1, ("web", "https://a.example/"))
    hosts = Hosts()
    async with only_one(lambda: connect(fresh_database_url), "prober"):
        waits = asyncio.create_task(prober(hosts).run_until_idle())
        await asyncio.sleep(0.2)
        assert hosts.asked == []
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)


async def test_prober__when_database_drops_it__then_it_comes_back(conn, prober, clock, monkeypatch):
    monkeypatch.setattr("renown.ingest.prober.prober.FIRST_PAUSE_SECONDS", 0.02)
    await declare(conn, 1, ("web", "https://a.example/"))
    hosts = Hosts()
    runs = asyncio.create_task(prober(hosts).run())

    async def checked(times):
        return await conn.fetchval("SELECT count(*) FROM endpoint_check") >= times

    await until(lambda: checked(1))
    await conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    clock.now += GAP * 1.5
    await until(lambda: checked(2))
    runs.cancel()
    await asyncio.gather(runs, return_exceptions=True)
    assert (await endpoint(conn, "https://a.example/"))["verdict"] == "alive"


async def test_prober__when_something_unforeseen_fails__then_it_goes_on(
    conn, prober, clock, monkeypatch
):
    monkeypatch.setattr("renown.ingest.prober.prober.FIRST_PAUSE_SECONDS", 0.02)
    await declare(conn, 1, ("web", "https://a.example/"))
    settle, failures = probes.settle, iter([ValueError("odd"), KeyError("odder")])

    async def fails_first(conn, check):
        clock.now += probes.LEASE
        if failure := next(failures, None):
            raise failure
        return await settle(conn, check)

    monkeypatch.setattr(probes, "settle", fails_first)
    runs = asyncio.create_task(prober(Hosts()).run())

    async def checked():
        return await conn.fetchval("SELECT count(*) FROM endpoint_check") or runs.done()

    with structlog.testing.capture_logs() as logs:
        await until(checked)
    assert not runs.done()
    runs.cancel()
    await asyncio.gather(runs, return_exceptions=True)
    told = [one["error"] for one in logs if one["event"] == "prober_interrupted"]
    assert told == ["ValueError", "KeyError"]


async def test_prober__when_trying_again_cannot_help__then_it_ends(prober, monkeypatch):
    async def behind(*_):
        raise SchemaBehind("the schema is not the one")

    monkeypatch.setattr(probes, "wake", behind)
    with pytest.raises(SchemaBehind):
        async with asyncio.timeout(10):
            await prober(Hosts()).run()


@pytest.mark.parametrize("under_way", [False, True])
async def test_prober__when_nothing_is_due__then_it_seldom_looks(
    conn, fresh_database_url, clock, monkeypatch, under_way
):
    if under_way:
        await declare(conn, 1, ("web", "https://slow.example/"))
    claims = 0
    claim = probes.claim

    async def counted(*args, **options):
        nonlocal claims
        claims += 1
        return await claim(*args, **options)

    monkeypatch.setattr(probes, "claim", counted)
    hosts = Hosts()
    hosts.wait_seconds = 60.0
    by_default = Prober(lambda: connect(fresh_database_url), hosts, clock=clock)
    runs = asyncio.create_task(by_default.run())

    async def begun():
        return claims >= 1

    await until(begun)
    await asyncio.sleep(0.5)
    runs.cancel()
    await asyncio.gather(runs, return_exceptions=True)
    assert bool(hosts.asked) == under_way
    assert claims <= 5


async def test_shrink__when_checks_are_old__then_counts_by_day_and_nothing_lost(conn):
    for hour in range(5):
        await conn.execute(
            "INSERT INTO endpoint_check VALUES (1, $1, $2, $3, 'ok', NULL, 200, $4)",
            START - timedelta(days=100) + timedelta(hours=4 * hour),
            hour < 2,
            ("alive", "alive", "dead", "unknown", "dead")[hour],
            10 if hour < 3 else None,
        )
    await conn.execute(
        "INSERT INTO endpoint_check VALUES (1, $1, true, 'alive', 'ok', NULL, 200, 9)", START
    )
    before = START - timedelta(days=90)
    assert await probes.shrink(conn, before, limit=3) == 3
    assert await probes.shrink(conn, before, limit=3) == 2
    assert await probes.shrink(conn, before, limit=3) == 0
    days = await conn.fetch("SELECT checks, good, latency_ms_sum, answered FROM endpoint_day")
    assert [sum(column) for column in zip(*days, strict=True)] == [4, 2, 30, 3]
    assert await conn.fetchval("SELECT count(*) FROM endpoint_check") == 1


async def test_settle__when_agent_is_on_the_list__then_whoever_takes_it_off_waits_and_sees(
    conn, prober, clock, fresh_database_url
):
    await declare(conn, 7, ("web", "https://a.example/"))
    await prober(Hosts()).run_until_idle()
    await conn.execute("INSERT INTO profile_due VALUES (1, 7)")
    (row,) = await conn.fetch("SELECT endpoint_id, first_seen_at FROM endpoint")
    builder = await connect(fresh_database_url)
    held = await connect(fresh_database_url)

    async def build():
        async with transaction(builder) as tx:
            await tx.execute("DELETE FROM profile_due")
            found = await offers(tx, {(1, 7): None})
            return found[1, 7].alive

    async with transaction(held) as tx:  # `settle` joins it: not committed before its end
        check = probes.Check(
            endpoint_id=row["endpoint_id"],
            checked_at=START + GAP,
            seen="alive",
            outcome="ok",
            reason=None,
            status=200,
            latency_ms=1,
            verdict="alive",
            rounds=0,
            leaning=None,
            verdict_at=START + GAP,
            due_at=START + GAP,
            capabilities=None,
        )
        assert await probes.settle(tx, check)
        building = asyncio.create_task(build())
        await asyncio.sleep(0.1)
        assert not building.done()
    assert await building is True
    for opened in (builder, held):
        await opened.close()


# The lock ----------------------------------------------------------------------------------------


async def test_only_one__when_held__then_others_wait_and_get_it_after(fresh_database_url):
    order = []

    async def work(name):
        async with only_one(
            lambda: connect(fresh_database_url),
            "test",
            retry_seconds=0.02,
            on_wait=lambda: order.append(f"{name} waits"),
        ):
            order.append(f"{name} in")
            await asyncio.sleep(0.1)
            order.append(f"{name} out")

    first = asyncio.create_task(work("a"))
    await asyncio.sleep(0.05)
    await work("b")
    await first
    assert order == ["a in", "b waits", "a out", "b in", "b out"]


async def test_only_one__when_names_differ__then_both_run(fresh_database_url):
    async with (
        only_one(lambda: connect(fresh_database_url), "one"),
        only_one(lambda: connect(fresh_database_url), "two") as conn,
    ):
        assert await conn.fetchval("SELECT 1") == 1


async def test_only_one__when_its_connection_breaks__then_the_work_ends(conn, fresh_database_url):
    with pytest.raises(DatabaseUnavailable):
        async with only_one(lambda: connect(fresh_database_url), "test") as lock:
            pid = await lock.fetchval("SELECT pg_backend_pid()")
            await conn.execute("SELECT pg_terminate_backend($1)", pid)
            await asyncio.sleep(10)
    async with asyncio.timeout(5), only_one(lambda: connect(fresh_database_url), "test"):
        pass


async def test_only_one__when_the_work_fails_with_it__then_no_cancellation_is_left_behind(
    fresh_database_url,
):
    task = asyncio.current_task()
    assert task is not None
    for pause in (0, 0.05):
        with pytest.raises((DatabaseUnavailable, ZeroDivisionError)):
            async with only_one(lambda: connect(fresh_database_url), "test") as lock:
                try:
                    await lock.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
                    await asyncio.sleep(pause)
                finally:
                    raise ZeroDivisionError
        assert task.cancelling() == 0
        await asyncio.sleep(0)


async def test_only_one__when_cancelled_from_outside__then_cancelled(fresh_database_url):
    async def work():
        async with only_one(lambda: connect(fresh_database_url), "test"):
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
