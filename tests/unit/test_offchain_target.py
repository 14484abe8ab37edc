import pytest

from renown.errors import BadSettings
from renown.offchain.failed import Failed
from renown.offchain.opened import Opened
from renown.offchain.target import Target, read_target, redirected


def target(url: str) -> Target:
    found = read_target(url)
    assert isinstance(found, Target)
    return found


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("HTTPS://Agents.Example", "https://agents.example/"),
        ("https://agents.example:443/a?b#c", "https://agents.example/a?b"),
        ("http://agents.example:/x", "http://agents.example/x"),
        ("https://agents.example.?q=1", "https://agents.example/?q=1"),
        ("https://agents.example:0443/", "https://agents.example/"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://agents.example/%zz%41", "https://agents.example/%zz%41"),
        ("http://[2606:4700::0:1111]:80/", "http://[2606:4700::1111]/"),
        ("https://agents.example/a:b@c", "https://agents.example/a:b@c"),
    ],
)
def test_read_target__spellings__become_one(url, same):
    assert target(url).url == same
    assert target(same).url == same


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://agents.example/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://127.0.0.1:70/", "scheme"),
        ("//agents.example/", "scheme"),
        ("https:/agents.example/", "scheme"),
        ("https:agents.example", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("", "scheme"),
        ("https://", "bad-host"),
        ("https:///path", "bad-host"),
        ("https://:443/", "bad-host"),
        ("https://a..b.example/", "bad-host"),
        ("https://-a.example/", "bad-host"),
        (f"https://{'a' * 64}.example/", "bad-host"),
        (f"https://{'a.' * 130}example/", "bad-host"),
        ("https://a%2eexample/", "bad-host"),
        ("https://a,b.example/", "bad-host"),
        ("https://[::1", "bad-host"),
        ("https://[::1%25eth0]/", "bad-host"),
        ("https://[127.0.0.1]/", "bad-host"),
        ("https://::1/", "bad-host"),
        ("https://good.example@127.0.0.1/", "userinfo"),
        ("https://user:password@good.example/", "userinfo"),
        ("https://@good.example/", "userinfo"),
        ("https://good.example:0/", "bad-port"),
        ("https://good.example:65536/", "bad-port"),
        ("https://good.example:8x/", "bad-host"),
        (" https://good.example/", "bad-characters"),
        ("https://good.example/a b", "bad-characters"),
        ("https://good.example/\r\nX: 1", "bad-characters"),
        ("https://good.ex\tample/", "bad-characters"),
        ("https://good.example\\@evil.example/", "bad-characters"),
        ("https://good.example/\x00", "bad-characters"),
        ("https://good.example/\ud800", "bad-characters"),
        ("https://good.example/" + "a" * 8_192, "too-long"),
    ],
)
def test_read_target__not_a_url_we_ask__says_why(url, reason):
    assert read_target(url) == Failed("refused", reason)


@pytest.mark.parametrize(
    ("location", "to"),
    [
        ("/b?c", "https://agents.example/b?c"),
        ("b", "https://agents.example/dir/b"),
        ("../b", "https://agents.example/b"),
        ("?q", "https://agents.example/dir/a?q"),
        ("//other.example/x", "https://other.example/x"),
        (" https://other.example ", "https://other.example/"),
        ("/\u00c3\u00bc", "https://agents.example/%C3%BC"),  # UTF-8 that was read as Latin-1
    ],
)
def test_redirected__location__is_joined(location, to):
    found = redirected(target("https://agents.example/dir/a"), location)

    assert isinstance(found, Target)
    assert found.url == to


@pytest.mark.parametrize(
    ("location", "outcome", "reason"),
    [
        ("", "broken", "no-location"),
        ("http://agents.example/", "refused", "downgrade"),
        ("//127.0.0.1@good.example/", "refused", "userinfo"),
        ("//[::1", "refused", "bad-host"),
        ("htt\tps://good.example", "refused", "bad-characters"),
        ("file:///etc/passwd", "refused", "scheme"),
        ("data:text/plain,x", "refused", "scheme"),
    ],
)
def test_a3_redirected__where_we_do_not_go__says_why(location, outcome, reason):
    found = redirected(target("https://agents.example/a"), location)

    assert found == Failed(outcome, reason)


def test_opened__host__opens_that_host_at_its_port_and_no_other():
    opened = Opened(["localhost:8080", "10.1.2.3", "[::1]:9000", "Intranet"])

    for url in (
        *("http://localhost:8080/a", "http://10.1.2.3/", "https://10.1.2.3/"),
        *("http://[::1]:9000/", "https://intranet/"),
    ):
        assert opened.admits(target(url)), url
    for url in (
        *("http://localhost/", "http://localhost:8081/", "http://10.1.2.3:8080/"),
        *("http://[::1]/", "http://a.localhost:8080/", "http://127.0.0.1:8080/"),
    ):
        assert not opened.admits(target(url)), url


def test_opened__detour__takes_the_names_below_and_never_addresses():
    opened = Opened(["one.test=https://10.0.0.1", "*.example=http://127.0.0.1:8104"])
    origins = {
        url: origin.url if (origin := opened.origin_for(target(url))) else None
        for url in (
            *("https://a.example/x", "http://b.a.example/", "https://example/"),
            *("https://notexample/", "https://one.test/", "https://a.one.test/"),
        )
    }

    assert list(origins.values()) == [
        *("http://127.0.0.1:8104/", "http://127.0.0.1:8104/", None),
        *(None, "https://10.0.0.1/", None),
    ]
    everything = Opened(["*=http://127.0.0.1:8104"])
    assert everything.origin_for(target("http://anything/")) is not None
    assert everything.origin_for(target("http://169.254.169.254/")) is None


@pytest.mark.parametrize(
    "entry",
    [
        *("", " ", "localhost:99999", "http://localhost", "a b", "local host:80"),
        *("localhost/x", "*.example", "*", "a@b", "=http://127.0.0.1", "*.example=", "a="),
        *("*.example=127.0.0.1:80", "*.example=http://127.0.0.1/x", "a*.b=http://127.0.0.1"),
        *("[::1]=http://127.0.0.1", "*.example=ftp://127.0.0.1", "127.1:80"),
    ],
)
def test_opened__malformed_entry__stops_the_start(entry):
    with pytest.raises(BadSettings, match="RENOWN_FETCH_OPEN"):
        Opened([entry])
