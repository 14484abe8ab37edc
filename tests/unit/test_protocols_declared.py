"""Which endpoints are asked, what nonsense is asked beside them, and what follows from it."""

from __future__ import annotations

import pytest

from renown.spec.documents.model import Finding, Registration, Service
from renown.spec.protocols import Checked, Offers, declared, offers
from renown.spec.protocols.capabilities import Capabilities, Price, Skill
from renown.spec.protocols.controls import alike, nonsense_url, wrong_id_url
from renown.spec.protocols.declared import MOST_ENDPOINTS, Declared, normal_url


def service(position, kind, endpoint=None, **more):
    return Service(position=position, kind=kind, name=kind, endpoint=endpoint, **more)


# Declared ----------------------------------------------------------------------------------------


def test_declared__when_services_of_all_kinds__then_only_what_can_be_called():
    registration = Registration(
        services=(
            service(0, "mcp", "https://a.example/mcp"),
            service(1, "a2a", "HTTPS://A.example:443/.well-known/agent-card.json"),
            service(2, "web", "http://a.example"),
            service(3, "x402", "https://a.example/paid"),
            service(4, "other", "https://a.example/api"),
            service(5, "other", "just words"),
            service(6, "ens", "https://name.eth"),
            service(7, "oasf", "https://github.com/agntcy/oasf/"),
            service(8, "email", "mailto:a@a.example"),
            service(9, "wallet", "eip155:1:0x00"),
            service(10, "mcp"),
            service(11, "mcp", "ipfs://bafy"),
        )
    )
    assert declared(registration) == (
        Declared(0, "mcp", "https://a.example/mcp", "a.example"),
        Declared(1, "a2a", "https://a.example/.well-known/agent-card.json", "a.example"),
        Declared(2, "web", "http://a.example/", "a.example"),
        Declared(3, "x402", "https://a.example/paid", "a.example"),
        Declared(4, "web", "https://a.example/api", "a.example"),
    )


def test_declared__when_too_many__then_bounded():
    services = tuple(service(n, "web", f"https://a.example/{n}") for n in range(500))
    assert len(declared(Registration(services=services))) == MOST_ENDPOINTS


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://a.example", "https://a.example/"),
        (" https://a.example/x#frag ", "https://a.example/x"),
        ("https://A.EXAMPLE./x", "https://a.example/x"),
        ("http://a.example:80/", "http://a.example/"),
        ("http://a.example:8080/", "http://a.example:8080/"),
        ("https://exämple.com/ü?q=ü", "https://xn--exmple-cua.com/%C3%BC?q=%C3%BC"),
        ("https://a.example/a b", "https://a.example/a%20b"),
        ("https://a.example/%2e%2E/", "https://a.example/%2e%2E/"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://127.0.0.1:3000/mcp", "http://127.0.0.1:3000/mcp"),
    ],
)
def test_normal_url__when_spelt_oddly__then_one_spelling(written, url):
    found = normal_url(written)
    assert found is not None
    assert found[0] == url
    assert normal_url(url) == found


@pytest.mark.parametrize(
    "written",
    [
        "",
        "a.example/x",
        "//a.example/",
        "ftp://a.example/",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "https://user:secret@a.example/",
        "https://good.example@127.0.0.1/",
        "https://a.example:0/",
        "https://a.example:99999/",
        "https://a.example:x/",
        "https://[::1",
        "https://[fe80::1%25eth0]/",
        "https://{agentId}.example/",
        "https://a.example/{agentId}",
        "https://a\\b.example/",
        "https://a.example/\r\nX: y",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://a..example/",
        "https://a.example/" + "x" * 2_100,
    ],
)
def test_normal_url__when_not_to_be_requested__then_none(written):
    assert normal_url(written) is None


# Controls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/", "https://a.example/tok"),
        ("https://a.example/mcp", "https://a.example/tok"),
        ("https://a.example/x/mcp?key=1", "https://a.example/x/tok"),
        ("https://a.example/x/", "https://a.example/x/tok"),
    ],
)
def test_nonsense_url__when_made__then_a_neighbour(url, expected):
    assert nonsense_url(url, "tok") == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/agents/12/card.json", "https://a.example/agents/9/card.json"),
        ("https://a.example/1/2", "https://a.example/1/9"),
        ("https://a.example/7.json", "https://a.example/9.json"),
        ("https://a.example/card?id=5&v=x", "https://a.example/card?id=9&v=x"),
        ("https://a.example/v1x/card.json", None),
        ("https://a.example:8080/", None),
        ("https://a7.example/", None),
    ],
)
def test_wrong_id_url__when_it_has_a_number__then_the_last_is_wrong(url, expected):
    assert wrong_id_url(url, 9) == expected


def test_alike__when_page_repeats_the_path__then_same_page():
    page = "<html><p>nothing at {}</p>" + "<div>layout</div>" * 40 + "<i>{}</i>"
    ours = page.format("/mcp", "12:00:01").encode()
    theirs = page.format("/tok-1", "12:00:02").encode()
    assert alike(ours, theirs, "tok-1")


def test_alike__when_another_page__then_not_the_same():
    ours = b"<html>" + b"".join(b"<p>product %d</p>" % n for n in range(50))
    assert not alike(ours, b"<html><h1>Not found</h1></html>")
    assert not alike(ours, b"")
    assert alike(b"", None)
    assert alike(ours, ours)


# Offers ------------------------------------------------------------------------------------------


FILE = Registration(
    name="Shop  Bot",
    services=(
        service(0, "mcp", "https://a.example/mcp", tools=("Search", "buy")),
        service(1, "a2a", "https://a.example/card.json", skills=("book",)),
        service(2, "web", "https://a.example/"),
    ),
)


def test_offers__when_never_probed__then_unknown_not_down():
    unknown = [Checked(0, "mcp", "unknown", Capabilities(tools=("x",)))]
    assert offers(FILE, unknown) == Offers()
    assert offers(None, []) == Offers()


def test_offers__when_served_as_declared__then_no_finding_and_all_names():
    booking = Skill("B", "book")
    found = offers(
        FILE,
        [
            Checked(0, "mcp", "alive", Capabilities(tools=("search", "buy", "more"))),
            Checked(1, "a2a", "alive", Capabilities(server="shop bot", skills=(booking,))),
        ],
    )
    assert found == Offers(
        tools=("search", "buy", "more"), skills=("B",), x402=False, alive=True, findings=()
    )


def test_offers__when_declared_is_not_served__then_findings_at_the_service():
    found = offers(
        FILE,
        [
            Checked(0, "mcp", "alive", Capabilities(tools=("search",))),
            Checked(1, "a2a", "alive", Capabilities(server="Other", skills=(Skill("x"),))),
            Checked(2, "web", "dead"),
        ],
    )
    assert found.findings == (
        Finding("card-mismatch", "/services/1", "the card is of 'Other'"),
        Finding("endpoint-dead", "/services/2", "https://a.example/"),
        Finding("skills-differ", "/services/1", "not served: 'book'"),
        Finding("tools-differ", "/services/0", "not served: 'buy'"),
    )


def test_offers__when_list_was_cut_or_closed__then_it_proves_nothing_missing():
    for half in (Capabilities(tools=("a",), cut=True), Capabilities(login=True)):
        assert offers(FILE, [Checked(0, "mcp", "alive", half)]).findings == ()


def test_offers__when_paywalled__then_alive_and_x402():
    prices = Capabilities(prices=(Price("exact", "eip155:1", "", "1", "0x"),))
    found = offers(FILE, [Checked(2, "web", "paywalled", prices)])
    assert (found.alive, found.x402) == (True, True)


@pytest.mark.parametrize(
    ("checked", "alive"),
    [
        ([("mcp", "dead")], False),
        ([("mcp", "hollow")], False),
        ([("web", "hollow")], None),  # a page that is the same everywhere is still a page
        ([("mcp", "refused")], None),
        ([("mcp", "dead"), ("web", "alive")], True),
        ([("mcp", "dead"), ("web", "unknown")], False),
    ],
)
def test_offers__when_verdicts_differ__then_one_good_is_enough(checked, alive):
    rows = [Checked(n, protocol, verdict) for n, (protocol, verdict) in enumerate(checked)]
    assert offers(FILE, rows).alive is alive


def test_offers__when_dead_once_had_tools__then_they_are_not_offered():
    found = offers(FILE, [Checked(0, "mcp", "dead", Capabilities(tools=("search",)))])
    assert found.tools == ()
