"""Where files point (C1, C2): code, private hosts, disguised hosts and nonsense are told apart."""

from __future__ import annotations

import pytest

from renown.spec.documents.endpoints import judge_endpoint, judge_image
from renown.spec.documents.model import ServiceKind
from renown.spec.documents.notes import Notes

REGISTRY = "0x8004A169FB4a3325136EB29fA0ceB6D2e539a432"


def endpoint(text: str, kind: ServiceKind = "web") -> list[str]:
    notes = Notes()
    judge_endpoint(text, kind, "/services/0", notes)
    return sorted({finding.code for finding in notes.sorted()})


def image(text: str) -> list[str]:
    notes = Notes()
    judge_image(text, "/image", notes)
    return sorted({finding.code for finding in notes.sorted()})


@pytest.mark.parametrize(
    "text",
    [
        "https://a.net",
        "https://a.net/",
        "https://sub.domain-name.a.co.uk/x/y?z=1&w=%20#f",
        "https://a.net:8443/mcp",
        "https://A.Net/x",
        "https://8.8.8.8/x",
        "https://[2606:4700::1]/x",
        "https://bücher.de/",
        "https://例え.jp/",
        "wss://a.net/socket",
        "ipfs://bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
    ],
)
def test_url__an_honest_one__has_no_finding(text: str) -> None:
    assert endpoint(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        "\tjavascript:alert(1)",
        "java\tscript\r:alert(1)",
        "vbscript:msgbox(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:text/html;base64,PHNjcmlwdD4=",
        "file:///etc/passwd",
        "blob:https://a.net/x",
        "https://good.net@evil.net/",
        "https://user:password@a.net/",
        "https://a.net/\ufffdgpj.exe",
        "https://a.net/ x\n",
    ],
)
def test_c1_url__that_runs_code_or_hides__is_unsafe(text: str) -> None:
    assert "unsafe-url" in endpoint(text)
    assert "unsafe-url" in image(text)


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:3000", "a.localhost", "printer", "a.local", "db.internal", "a.lan",
        "a.home.arpa", "a.test", "a.invalid", "a.onion", "127.0.0.1", "127.0.0.1:8080", "10.1.2.3",
        "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "[::1]", "[::]", "[fe80::1]",
        "[fc00::1]", "[fec0::1]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]",
        "[::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:a9fe:a9fe::]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:db8::1]", "LOCALHOST", "localhost.",
    ],
)  # fmt: skip
def test_a1_url__to_a_private_host__is_found_by_its_letters(host: str) -> None:
    assert endpoint(f"https://{host}/x") == ["private-host"]


@pytest.mark.parametrize(
    "host",
    [
        "аpple.com",  # Cyrillic а
        "аррӏе.com",  # Cyrillic all over
        "xn--pple-43d.com",
        "pαypal.com",  # Greek α
        "gооgle.com",
        "www.раураl.com",
    ],
)
def test_c2_url__a_host_dressed_as_another__is_spoofed(host: str) -> None:
    assert endpoint(f"https://{host}/") == ["spoofed-host"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a.net/x", "web"),
        ("a.net:8080/x", "mcp"),
        ("/", "a2a"),
        ("n/a", "web"),
        ("https://", "web"),
        ("https://a b.net/", "web"),
        ("https://127.1/", "web"),
        ("https://0x7f000001/", "web"),
        ("not an address", "email"),
        ("mailto:nobody", "email"),
        ("nothing", "ens"),
        ("0x123", "wallet"),
    ],
)
def test_endpoint__that_is_no_address__is_malformed(text: str, kind: ServiceKind) -> None:
    assert endpoint(text, kind) == ["malformed-url"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a@b.net", "email"),
        ("mailto:a@b.net?subject=x", "email"),
        ("pilot.eth", "ens"),
        ("sub.pilot.eth", "ens"),
        ("☃.eth", "ens"),
        (f"eip155:8453:{REGISTRY}", "wallet"),
        (REGISTRY, "wallet"),
        (f"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:{'7S3P4HxJ' * 5}", "wallet"),
        ("did:web:a.net", "did"),
        ("@pilot", "social"),
        ("call me", "other"),
        ("", "other"),
    ],
)  # fmt: skip
def test_endpoint__in_the_form_of_its_kind__has_no_finding(text: str, kind: ServiceKind) -> None:
    assert endpoint(text, kind) == []


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/agent",
        "https://api.example.org",
        "https://your-domain.net/mcp",
        "https://yourdomain.com/",
        "https://{host}/mcp",
        "https://a.net/agents/{agentId}/card",
        "https://a.net/{{id}}",
        "https://a.net/${AGENT_ID}",
    ],
)
def test_url__left_over_from_a_form__is_a_placeholder(text: str) -> None:
    assert endpoint(text) == ["placeholder"]


def test_url__a_placeholder_that_is_also_unsafe__is_both() -> None:
    assert endpoint("https://your-agent@127.0.0.1/") == [
        "placeholder",
        "private-host",
        "unsafe-url",
    ]


def test_url__plain_http__is_worth_knowing() -> None:
    assert endpoint("http://a.net/") == ["insecure-url"]


@pytest.mark.parametrize(
    "text", ["data:image/png;base64,AAAA", "data:image/svg+xml;base64,AAAA", "ar://x", "https://a.net/p"]
)  # fmt: skip
def test_image__a_picture__has_no_finding(text: str) -> None:
    assert image(text) == []


@pytest.mark.parametrize("text", ["C:\\pictures\\a.png", "🤖", "picture.png"])
def test_image__no_url__is_malformed(text: str) -> None:
    assert image(text) == ["malformed-url"]
