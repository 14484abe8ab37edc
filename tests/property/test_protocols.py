"""Whatever an endpoint answers, reading it ends in something bounded that PostgreSQL takes."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from renown.ingest.prober.verdicts import ROUNDS, Standing, judge, next_look
from renown.spec.documents.model import Registration, Service
from renown.spec.protocols import declared, mcp
from renown.spec.protocols.a2a import card_urls, read_card
from renown.spec.protocols.capabilities import (
    LONGEST_NAME,
    MOST_NAMES,
    MOST_PRICES,
    capabilities_from,
    capabilities_json,
    names,
)
from renown.spec.protocols.controls import alike, nonsense_url, wrong_id_url
from renown.spec.protocols.declared import LONGEST_URL, normal_url
from renown.spec.protocols.rpc import answered, event_names, read_reply
from renown.spec.protocols.x402 import read_challenge

KEYS = st.sampled_from(
    [
        *("jsonrpc", "id", "result", "error", "code", "data", "supported", "tools", "name"),
        *("nextCursor", "protocolVersion", "supportedVersions", "capabilities", "serverInfo"),
        *("_meta", "skills", "url", "supportedInterfaces", "version", "x402Version", "accepts"),
        *("network", "payTo", "amount", "maxAmountRequired", "asset", "scheme"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.sampled_from(["2.0", "our-id", "2025-06-18", "https://a.example/x", 1, 2, -32022])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=8),
    max_leaves=15,
)
BODIES = (
    st.binary(max_size=400)
    | VALUES.map(lambda value: json.dumps(value).encode())
    | VALUES.map(lambda value: b"event: message\ndata: " + json.dumps(value).encode() + b"\n\n")
)
CONTENT_TYPES = st.sampled_from(["application/json", "text/event-stream", "", "x"])


@given(BODIES, CONTENT_TYPES)
def test_answers__when_anything__then_read_without_exception_and_bounded(body, content_type):
    reply = read_reply(body, content_type, "our-id")
    greeting = mcp.read_greeting(reply)
    if greeting is not None:
        assert len(greeting.versions) <= 16
        assert greeting.version_to_speak.isascii()
    mcp.read_refusal(reply)
    page = mcp.read_tools(reply)
    if page is not None:
        assert all(isinstance(name, str) for name in page.names)
    answered(body, "our-id")
    event_names(body)


@given(BODIES)
def test_cards__when_anything__then_bounded_and_storable(body):
    card = read_card(body)
    if card is not None:
        stored = capabilities_json(card)
        assert capabilities_from(stored) == card
        assert "\\u0000" not in stored
        stored.encode()
        assert card.server
        assert len(card.skills) <= MOST_NAMES


@given(BODIES, st.binary(max_size=200), VALUES)
def test_challenges__when_anything__then_prices_are_digits_or_nothing(body, header, value):
    for encoded in (
        header.decode("latin-1"),
        base64.b64encode(json.dumps(value).encode()).decode(),
    ):
        challenge = read_challenge(402, {"payment-required": encoded}, body)
        if challenge is not None:
            assert 1 <= len(challenge.prices) <= MOST_PRICES
            for price in challenge.prices:
                assert price.amount == "" or (price.amount.isascii() and price.amount.isdigit())


@given(st.lists(st.text(max_size=300) | st.integers() | st.none(), max_size=300))
def test_names__when_anything__then_distinct_clean_and_short(values):
    found, cut = names(values)
    assert len(found) == len({*found}) <= MOST_NAMES
    assert all(0 < len(name) <= LONGEST_NAME for name in found)
    assert not {*"\0\n\x1b\u202e\u200b"} & {*"".join(found)}
    assert not cut or len(found) == MOST_NAMES


URLS = st.text(max_size=80) | st.builds(
    "{}://{}{}".format,
    st.sampled_from(["http", "https", "HTTPS", "ftp"]),
    st.text(alphabet="abC.-:@[]0123456789xü%", max_size=30),
    st.text(max_size=40).map(lambda path: "/" + path),
)


@given(URLS)
def test_normal_url__when_anything__then_a_fixed_point_that_can_be_requested(written):
    found = normal_url(written)
    if found is None:
        return
    url, host = found
    assert normal_url(url) == found
    assert url.isascii()
    assert url.startswith(("http://", "https://"))
    assert len(url) <= LONGEST_URL
    assert not set(url) & set(' \t\r\n<>"\\#')
    assert host == host.lower()
    for other in (nonsense_url(url, "tok"), wrong_id_url(url, 9), *card_urls(url)):
        if other is not None:
            again = normal_url(other)
            assert again is None or again[1] == host


@given(st.lists(st.sampled_from(["mcp", "web", "ens"]), max_size=60), st.data())
def test_declared__when_anything__then_at_most_one_per_service(kinds, data):
    services = tuple(
        Service(position=n, kind=kind, name=kind, endpoint=data.draw(st.none() | URLS))
        for n, kind in enumerate(kinds[:10])
    )
    found = declared(Registration(services=services))
    assert len({one.position for one in found}) == len(found)


@given(st.binary(max_size=2_000), st.binary(max_size=2_000))
def test_alike__when_any_bodies__then_symmetric_and_reflexive(one, other):
    assert alike(one, one)
    assert alike(one, other) == alike(other, one)


SEEN = st.sampled_from(["alive", "paywalled", "dead", "hollow", "refused", "unknown"])
GAPS = st.sampled_from([timedelta(minutes=1), timedelta(minutes=15), timedelta(days=1)])
APART = timedelta(minutes=10)
START = datetime(2026, 11, 1, tzinfo=UTC)


@given(st.lists(st.tuples(SEEN, GAPS), max_size=40))
def test_judge__when_any_looks__then_a_verdict_needs_two_rounds_apart(looks):
    standing, now = Standing(verdict="unknown"), START
    told: list[tuple[str, datetime]] = []
    for seen, gap in looks:
        now += gap
        before = standing.verdict
        standing = judge(standing, seen, now=now, apart=APART)
        if seen != "unknown":
            told.append((seen, now))
        assert standing.rounds < ROUNDS
        if standing.verdict != before:
            assert standing.verdict == seen != "unknown"
            row = [at for said, at in told[::-1] if said == seen]
            assert [said for said, _ in told[-2:]] == [seen, seen]
            assert row[0] - row[1] >= APART or len(row) > 2
            assert standing.verdict_at == now
        due = next_look(
            standing, seen, now=now, first_seen_at=START, apart=APART, rest_seconds=None, seed=b""
        )
        assert APART <= due - now <= timedelta(days=33)
