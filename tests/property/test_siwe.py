"""E2: messages of EIP-4361 are read as they were written, and nothing else is read."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.spec import siwe
from renown.spec.siwe import Message, Site, check, parse, write

STATEMENT = string.ascii_letters + string.digits + "-._~:/?#[]@!$&'()*+,;= "
TIMES = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000))
HOSTS = st.from_regex(r"\A[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?(:[0-9]{1,5})?\Z")
URIS = st.from_regex(r"\Ahttps://[a-z0-9.]{1,20}(/[A-Za-z0-9%=&?.-]{0,20})?\Z")
MESSAGES = st.builds(
    Message,
    scheme=st.none() | st.sampled_from(["https", "http"]),
    domain=HOSTS,
    address=st.binary(min_size=20, max_size=20),
    statement=st.none() | st.text(STATEMENT, min_size=1, max_size=80),
    uri=URIS,
    chain_id=st.integers(0, 10**18),
    nonce=st.text(string.ascii_letters + string.digits, min_size=8, max_size=40),
    issued_at=TIMES,
    expiration_time=st.none() | TIMES,
    not_before=st.none() | TIMES,
    request_id=st.none() | st.text(string.ascii_letters + "%20-._~!$&'()*+,;=:@", max_size=20),
    resources=st.none() | st.lists(URIS, max_size=3).map(tuple),
)


@given(MESSAGES)
def test_message__written_and_read__is_the_same(message: Message):
    assert parse(write(message)) == message


@given(MESSAGES, st.integers(0, 10_000), st.sampled_from('\r\n\0\t \u202eо\x7f"`'))
def test_message__with_a_character_put_in__reads_as_another_or_not_at_all(
    message: Message, place: int, character: str
):
    text = write(message)
    place %= len(text) + 1
    spoilt = text[:place] + character + text[place:]
    try:
        read = parse(spoilt)
    except ValueError:
        return
    assert read != message
    assert write(read) == spoilt or character in " \n"


@given(st.text(max_size=300))
def test_parse__of_any_text__gives_a_message_or_says_no(text: str):
    with pytest.raises(ValueError):
        parse(text)


@pytest.mark.parametrize(
    "members",
    [
        {"statement": "two\nlines"},
        {"statement": "cr\r"},
        {"statement": 'a "quoted" word'},
        {"statement": ""},
        {"domain": "evil.example wants you to sign in"},
        {"domain": "münchen.example"},
        {"domain": "user@renown.example"},
        {"uri": "https://a b"},
        {"uri": "/relative"},
        {"nonce": "short"},
        {"nonce": "with-dash-123"},
        {"resources": ("https://a\n- https://b",)},
        {"issued_at": datetime(2026, 1, 1, 0, 0, 0, 1, UTC)},
    ],
)
def test_write__of_what_has_no_room_in_the_grammar__is_an_error(members: dict[str, object]):
    with pytest.raises(ValueError):
        write(msgspec.structs.replace(GOOD, **members))


SITE = Site("renown.example", "https://renown.example", "https")
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GOOD = Message(
    domain="renown.example",
    address=bytes(20),
    uri="https://renown.example",
    chain_id=1,
    nonce="0123456789abcdef",
    issued_at=NOW,
    expiration_time=NOW + timedelta(minutes=10),
)


@pytest.mark.parametrize(
    ("seconds", "is_good"),
    [(-60, True), (-61, False), (0, True), (600, True), (659, True), (660, False)],
)
def test_check__at_the_edges_of_its_time__allows_a_minute_of_skew(seconds: int, is_good: bool):
    now = NOW + timedelta(seconds=seconds)
    if is_good:
        check(GOOD, SITE, now)
    else:
        with pytest.raises(ValueError):
            check(GOOD, SITE, now)


@pytest.mark.parametrize(
    "members",
    [
        {"domain": "renown.example.evil.example"},
        {"domain": "RENOWN.EXAMPLE"},
        {"domain": "renown.example:443"},
        {"scheme": "http"},
        {"uri": "https://renown.example/"},
        {"uri": "http://renown.example"},
        {"issued_at": NOW + timedelta(seconds=61)},
        {"expiration_time": NOW - timedelta(seconds=60)},
        {"not_before": NOW + timedelta(seconds=61)},
    ],
)
def test_check__of_a_message_for_elsewhere_or_another_time__refuses(members: dict[str, object]):
    with pytest.raises(ValueError):
        check(msgspec.structs.replace(GOOD, **members), SITE, NOW)


def test_parse__of_the_example_of_the_eip__reads_all_its_fields():
    text = (
        "example.com wants you to sign in with your Ethereum account:\n"
        "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2\n"
        "\n"
        "I accept the ExampleOrg Terms of Service: https://example.com/tos\n"
        "\n"
        "URI: https://example.com/login\n"
        "Version: 1\n"
        "Chain ID: 1\n"
        "Nonce: 32891756\n"
        "Issued At: 2021-09-30T16:25:24Z\n"
        "Resources:\n"
        "- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/\n"
        "- https://example.com/my-web2-claim.json"
    )
    message = siwe.parse(text)

    assert message.domain == "example.com"
    assert message.statement == "I accept the ExampleOrg Terms of Service: https://example.com/tos"
    assert message.nonce == "32891756"
    assert message.issued_at == datetime(2021, 9, 30, 16, 25, 24, tzinfo=UTC)
    assert message.resources is not None
    assert message.resources[1] == "https://example.com/my-web2-claim.json"
