"""Ways to the matches: whichever a search takes, it finds the same."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from renown.store import facets, search
from renown.store.pool import Conn
from renown.store.search_plan import BANDS as BANDS_OF_QUALITY
from renown.store.search_plan import Plan, Plans, Reach
from renown.store.search_wanted import Order, Wanted

ORDERS: tuple[Order, ...] = ("quality", "newest", "activity", "feedback")
BANDS = Plan(scan=False, bands=True)
TAIL = Plan(scan=False, bands=True, tail=True, most_scanned=1_000)
WAYS = [
    *(Plan(scan=False), Plan(scan=True), Plan(scan=True, most_scanned=10), BANDS, TAIL),
    *(Plan(scan=True, within=by) for by in ORDERS[1:]),
]
START = datetime(2026, 1, 1, tzinfo=UTC)


class Only(Plans):
    """Takes one way wherever it serves."""

    def __init__(self, way: Plan) -> None:
        super().__init__()
        self._way = way

    def choose(
        self, matches: float, need: int, *, order: Order, reach: Reach, later: bool = False
    ) -> Plan:
        return self._serving(order, reach)

    def exhaustive(self, *, order: Order = "quality", reach: Reach) -> Plan:
        way = self._serving(order, reach)
        return way if way.exhaustive and not way.bands else Plan(scan=False)

    def _serving(self, order: Order, reach: Reach) -> Plan:
        way = self._way
        if way.bands:
            return way if order == "quality" else Plan(scan=True)
        serves = way.within is None or (way.within in reach.within and way.within != order)
        return way if serves else Plan(scan=True)


@pytest.fixture
async def agents(conn: Conn) -> Conn:
    """300 agents whose words, feedback and times were drawn."""
    chance = random.Random(4)
    await conn.execute(
        "TRUNCATE agent_profile, agent_tag_stats, agent, chain, installation_mark CASCADE"
    )
    await conn.execute(
        "INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, start_block)"
        " SELECT n, 'chain' || n, 'Chain', false, decode(repeat('0' || n, 20), 'hex'),"
        " decode(repeat('02', 20), 'hex'), 0 FROM generate_series(1, 2) AS n"
    )
    await conn.execute("INSERT INTO checkpoint (chain_id, block_number) VALUES (1, 0), (2, 0)")
    await conn.execute(
        """INSERT INTO agent (chain_id, agent_id, uuid, owner, registrant, uri, uri_block, wallet,
                  wallet_state, created_block, created_log_index, created_tx, created_at,
                  transfer_count)
           SELECT 1 + n % 2, n, md5(n::text)::uuid, decode(repeat('01', 20), 'hex'),
                  decode(repeat('01', 20), 'hex'), '', 1, NULL, 'unset', n, 1,
                  sha256(int8send(n)), now(), 0 FROM generate_series(0, 299) AS n"""
    )
    await conn.executemany(
        """INSERT INTO agent_profile (chain_id, agent_id, state, terms, words, leads, quality,
                  owner, feedback_count, created_at, active_at, revision)
           VALUES (1 + $1::bigint % 2, $1, 'strict', $2::text[], to_tsvector('renown', $3)
                   || array_to_tsvector($2::text[]), $4, $5, '\\x01', $6, $7, $8, $1)""",
        [
            (
                n,
                [f"kind={chance.choice(('mcp', 'a2a'))}", f"chain={1 + n % 2}"],
                " ".join(chance.choices(("weather", "storm", "bread"), k=3)),
                chance.random() < 0.7,
                7 * chance.randint(0, 31),  # many alike
                chance.choice((0, 0, 1, 5, 50)),
                START + timedelta(hours=chance.randint(0, 500)),
                START + timedelta(hours=chance.randint(0, 500)),
            )
            for n in range(300)
        ],
    )
    await conn.executemany(
        "INSERT INTO agent_tag_stats (chain_id, agent_id, tags_hash, tag1, tag2,"
        " given_count, live_count, live_sum)"
        " SELECT chain_id, agent_id, sha256($1), $1, '', 1, 1, $2::numeric FROM agent_profile"
        " WHERE feedback_count > 0 AND agent_id % $3 = 0",
        [(b"fast", 90 * 10**18, 2), (b"cheap", 10 * 10**18, 3)],
    )
    # The best by quality and chain, whom this installation does not show.
    await conn.execute(
        """INSERT INTO installation_mark (chain_id, agent_id, mark)
           SELECT chain_id, agent_id, 'hidden' FROM agent_profile
            ORDER BY quality DESC, chain_id DESC, agent_id DESC LIMIT 1"""
    )
    await conn.execute("ANALYZE agent_profile")
    return conn


def wanted(chance: random.Random) -> Wanted:
    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.4 else None

    early = START + timedelta(hours=chance.randint(0, 250))
    return Wanted(
        text=maybe(chance.choice(("weather", "storm or bread", "-bread", "the"))) or "",
        terms=maybe(chance.choice(("'kind=mcp'", "!( 'kind=mcp' )", "'chain=1'"))) or "",
        leads=chance.random() < 0.2,
        feedback_least=maybe(chance.choice((0, 1, 5))),
        feedback_most=maybe(chance.choice((1, 5, 50))),
        registered_from=maybe(early),
        registered_before=maybe(early + timedelta(hours=chance.randint(0, 250))),
        active_from=maybe(early),
        tag1=maybe(b"fast"),
        average_least=maybe(50 * 10**18),
    )


async def test_search__any_way_to_the_matches__finds_the_same(agents) -> None:
    chance = random.Random(5)
    found = 0
    of_stop_words = Wanted(text="the", terms="'kind=mcp'")
    asked = [*(wanted(chance) for _ in range(12)), of_stop_words]
    for order, one in zip(itertools.cycle(ORDERS), asked, strict=False):
        pages = []
        for plans in (Plans(), *map(Only, WAYS)):
            page = await search.in_order(agents, plans, one, order, limit=25, uri_cut_bytes=0)
            pages.append([(f.place.value, f.place.chain_id, f.place.agent_id) for f in page.found])
        assert all(page == pages[0] for page in pages), (order, one)
        assert pages[0] == sorted(pages[0], reverse=True)
        assert not (pages[0] and one is of_stop_words)
        found += len(pages[0])
    assert found > 60


@pytest.mark.parametrize("terms", ["'chain=1'", "'kind=mcp'"])
async def test_search__page_after_page_any_way__finds_all_in_order(agents, terms: str) -> None:
    columns = "quality, chain_id, agent_id"
    all_of_them = await agents.fetch(
        f"SELECT {columns} FROM agent_profile p WHERE words @@ $1::text::tsquery"
        " AND NOT EXISTS (SELECT FROM installation_mark m"
        " WHERE m.chain_id = p.chain_id AND m.agent_id = p.agent_id)"
        " ORDER BY quality DESC, chain_id DESC, agent_id DESC",
        terms,
    )
    for plans in (Plans(), *map(Only, WAYS[:5])):
        found: list[tuple[Any, ...]] = []
        place = None
        while len(found) % 20 == 0:
            page = await search.in_order(
                agents, plans, Wanted(terms=terms), after=place, limit=20, uri_cut_bytes=0
            )
            places = [one.place for one in page.found[:20]]
            found += [(one.value, one.chain_id, one.agent_id) for one in places]
            place = places[-1]
        assert found == [tuple(one) for one in all_of_them]


async def test_bands__enough_in_the_best__none_of_the_others_is_begun(agents) -> None:
    asked = search._Search(Wanted(text="bread"), "quality", 20, 21, False, 0)
    statement, args = asked.statement(BANDS)

    async with agents.transaction():
        await agents.execute("SET LOCAL enable_seqscan = off")
        plan = [row[0] for row in await agents.fetch(f"EXPLAIN (ANALYZE) {statement}", *args)]

    scans = [line for line in plan if "Bitmap Index Scan on agent_profile_words" in line]
    assert [
        name for line in scans for name in line.split() if name.startswith("agent_profile")
    ] == [f"agent_profile_words_{low}_{high}" for low, high, _ in BANDS_OF_QUALITY]
    begun = ["never executed" not in line for line in scans]
    assert begun == sorted(begun, reverse=True)
    assert 0 < sum(begun) < len(BANDS_OF_QUALITY) / 2


async def test_facets__any_way_to_the_matches__count_the_same(agents) -> None:
    chance = random.Random(6)
    for one in [wanted(chance) for _ in range(8)]:
        counted = [
            await facets.count(agents, plans, one, ["kind"])
            for plans in (Plans(), *map(Only, WAYS))
        ]
        assert len({repr(one) for one in counted}) == 1
        assert counted[0].how == "exact"


async def test_plans__few_within_a_bound__walk_it_instead_of_all_that_have_the_word() -> None:
    plans = Plans()
    plans._rows = 1_000_000.0
    few = Reach(600_000.0, {"feedback": 500.0})

    assert plans.choose(300.0, 21, order="quality", reach=few).within == "feedback"
    assert plans.exhaustive(order="newest", reach=few).within == "feedback"
    assert plans.exhaustive(order="feedback", reach=few) == Plan(scan=True)
    assert plans.exhaustive(reach=Reach(100.0, {"feedback": 500_000.0})) == Plan(scan=False)


@pytest.mark.parametrize("within", [None, 300_000.0, 500.0])
async def test_plans__no_words_to_look_up__no_index_of_words_is_read_whole(
    within: float | None,
) -> None:
    plans = Plans()
    plans._rows = 1_000_000.0
    reach = Reach(1_000_000.0, {} if within is None else {"feedback": within})
    asked = Wanted(leads=True) if within is None else Wanted(tag1=b"rare")
    tried = Plan(scan=True, most_scanned=100)

    wider = plans.wider(tried, asked, 500.0, 21, order="quality", reach=reach)

    assert wider == Plan(scan=True, within="feedback" if within == 500.0 else None)
    worded = msgspec.structs.replace(asked, text="storm")
    assert plans.wider(tried, worded, 500.0, 21, order="quality", reach=Reach(500.0)).bands
