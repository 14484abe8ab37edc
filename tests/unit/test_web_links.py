"""Links of strangers: which are made, and that they show where they lead (security C1, C2)."""

from __future__ import annotations

import re

import pytest

from renown.api.web.links import link, target

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "vbscript:x",
        "data:text/html,<script>alert(1)</script>",
        "https://good.example@evil.example/",
        "https://user:pass@evil.example/",
        "https://evil.example\\@good.example/",
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://[::1]/",
        "http://192.168.0.1/reboot",
        "http://router.local/",
        "http://localhost:8080/",
        "//evil.example/",
        "/agents",
        "file:///etc/passwd",
        "ftp://host.example/",
        "https://",
        "https://host.example:99999/",
        "https://exa mple.com/",
        'https://host.example/"onmouseover="alert(1)',
        "ipfs://short",
        f"ipfs://{CID}/<script>",
        "mailto:a@host.example",
        "did:web:host.example",
        "https://host.example/" + "a" * 3_000,
        "",
    ],
)
def test_link__not_to_be_followed__is_text(text: str) -> None:
    made = str(link(text))

    assert target(text) is None
    assert "href" not in made
    assert re.findall("<[^>]+>", made) == ['<bdi class="uri">', "</bdi>"]


@pytest.mark.parametrize(
    ("text", "href"),
    [
        ("https://Agent.Example/a?b=1#c", "https://agent.example/a?b=1"),
        ("HTTP://agent.example:8080", "http://agent.example:8080"),
        (f"ipfs://{CID}/a.json", f"ipfs://{CID}/a.json"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("https://agent.example/a'b", "https://agent.example/a'b"),
    ],
)
def test_link__to_be_followed__leads_where_it_says_and_gives_no_credit(
    text: str, href: str
) -> None:
    found = target(text)

    assert found is not None
    assert found.href == href
    assert 'rel="noopener nofollow ugc"' in link(text)
    assert "'" not in link(text)


def test_link__long_host__never_hides_what_was_registered() -> None:
    made = str(link(f"https://login.bank.example.{'a' * 60}.{'b' * 60}.evil.co.uk/{'c' * 300}"))

    assert "<b>evil.co.uk</b>" in made
    assert "b" * 60 not in re.sub('href="[^"]*"', "", made)


def test_link__other_letters__shows_ascii_and_spelling_side_by_side() -> None:
    made = str(link("https://аррӏе.com/login"))

    assert "<b>xn--80ak6aa92e.com</b>" in made
    assert "spelt <bdi>аррӏе.com</bdi>" in made
    assert "imitates" in made


def test_link__direction_marks__are_seen_and_do_nothing() -> None:
    made = str(link("https://a.example/\u202egnp.exe"))

    assert "\u202e" not in made
    assert "\ufffd" in str(link("evil \u202egnp.exe")) or "href" in made
