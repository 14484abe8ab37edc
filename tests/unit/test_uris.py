"""URIs as they stand on chains: which scheme, whose host, what is fixed."""

from __future__ import annotations

import pytest

from renown.spec.uris import parse_uri, well_known

V0 = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"
V1 = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
TRANSACTION = "bNbA3TEQVL60xlgCcqdz4ZPHFZ711cZ3hmkpGttDt_U"


@pytest.mark.parametrize(
    ("written", "kind", "text", "host"),
    [
        ("https://a.example", "https", "https://a.example/", "a.example"),
        ("  https://a.example/x \n", "https", "https://a.example/x", "a.example"),
        ("HTTPS://A.Example./X", "https", "https://a.example/X", "a.example"),
        ("https://a.example:443/x", "https", "https://a.example/x", "a.example"),
        ("https://a.example:8443/x", "https", "https://a.example:8443/x", "a.example"),
        ("http://a.example:80", "http", "http://a.example/", "a.example"),
        ("https://a.example/x#part", "https", "https://a.example/x", "a.example"),
        ("https://a.example?q=1", "https", "https://a.example/?q=1", "a.example"),
        (
            "https://a.example/a b/ü%20%",
            "https",
            "https://a.example/a%20b/%C3%BC%20%25",
            "a.example",
        ),
        (
            "https://bücher.example/",
            "https",
            "https://xn--bcher-kva.example/",
            "xn--bcher-kva.example",
        ),
        ("https://８.8.8.8/", "https", "https://8.8.8.8/", "8.8.8.8"),
        ("https://[2001:DB8::1]/", "https", "https://[2001:db8::1]/", "[2001:db8::1]"),
        (f"ipfs://{V1}", "ipfs", f"ipfs://{V1}", "ipfs:"),
        (f"ipfs://ipfs/{V0}/a.json?x#y", "ipfs", f"ipfs://{V0}/a.json", "ipfs:"),
        (f"/ipfs/{V0}", "ipfs", f"ipfs://{V0}", "ipfs:"),
        (V0, "ipfs", f"ipfs://{V0}", "ipfs:"),
        (f"ar://{TRANSACTION}/a", "ar", f"ar://{TRANSACTION}/a", "ar:"),
    ],
)
def test_parse_uri__a_form_that_can_be_followed__is_told_as_it_is_requested(
    written: str, kind: str, text: str, host: str
) -> None:
    uri = parse_uri(written.encode())

    assert (uri.kind, uri.text, uri.host, uri.reason) == (kind, text, host, None)
    assert uri.fixed == (kind in ("ipfs", "ar"))


def test_parse_uri__content_addressed__knows_its_address_and_path() -> None:
    uri = parse_uri(f"ipfs://{V1}/a/b c.json".encode())

    assert (uri.cid, uri.path) == (V1, "/a/b%20c.json")
    assert parse_uri(f"ar://{TRANSACTION}/".encode()).path == ""


@pytest.mark.parametrize(
    "raw", [b"data:application/json,{}", b' {"name":"x"}', b"DATA:,", b"\xef\xbb\xbf{"]
)
def test_parse_uri__inline__costs_no_host_and_is_fixed(raw: bytes) -> None:
    uri = parse_uri(raw)

    assert uri.kind in ("data", "json")
    assert (uri.host, uri.fixed) == ("", True)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\0", "empty"),
        (b"tinybanana", "no-uri"),
        (b"contract A { uint x; }", "no-uri"),
        (b"\xff\xfe", "not-text"),
        (b"ftp://a.example/x", "unknown-scheme"),
        (b"javascript:alert(1)", "unknown-scheme"),
        (b"ipns://k51abc", "ipns"),
        (b"ipfs://0x1220abcdef", "bad-cid"),
        (b"ipfs://QmShort", "bad-cid"),
        (f"ipfs://{V1}/../x".encode(), "bad-path"),
        (f"ipfs://{V1}/%2e%2E/x".encode(), "bad-path"),
        (f"ipfs://{V1}/a%2f..%5cb".encode(), "bad-path"),
        (b"ar://short", "bad-transaction"),
        (b"https:a.example", "bad-authority"),
        (b"https:/a.example", "bad-authority"),
        (b"https://", "bad-host"),
        (b"https:///x", "bad-host"),
        (b"https://good@127.0.0.1/", "userinfo"),
        (b"https://user:secret@a.example/", "userinfo"),
        (b"https://a.example:0/", "bad-port"),
        (b"https://a.example:99999/", "bad-port"),
        (b"https://a.example:x/", "bad-host"),
        (b"https://a b.example/", "bad-host"),
        (b"https://a\texample/", "bad-host"),
        (b"https://127.1/", "bad-host"),
        (b"https://2130706433/", "bad-host"),
        (b"https://0x7f000001/", "bad-host"),
        (b"https://0177.0.0.1/", "bad-host"),
        (b"https://0/", "bad-host"),
        (b"https://%31%32%37.0.0.1/", "bad-host"),
        (b"https://[fe80::1%25eth0]/", "bad-host"),
        (b"https://[::1/", "bad-host"),
        (b"https://-a.example/", "bad-host"),
        (b"https://a..example/", "bad-host"),
        (b"https://" + b"a" * 64 + b".example/", "bad-host"),
        (b"https://" + b"a." * 200 + b"example/", "bad-host"),
        (b"https://a.example/" + b"x" * 9_000, "too-long"),
        (b"x" * 9_000, "no-uri"),
    ],
)  # fmt: skip
def test_parse_uri__what_nobody_can_follow__says_why(raw: bytes, reason: str) -> None:
    uri = parse_uri(raw)

    assert (uri.kind, uri.reason, uri.host, uri.fixed) == ("unsupported", reason, "", False)
    assert len(uri.text) <= 200


def test_parse_uri__text_to_show__holds_nothing_hidden() -> None:
    uri = parse_uri("gopher:\x00\x1b[2J\u202egpj.exe".encode())

    assert uri.text == "gopher:\ufffd\ufffd[2J\ufffdgpj.exe"


def test_well_known__of_a_host__is_the_standards() -> None:
    assert well_known("a.example") == "https://a.example/.well-known/agent-registration.json"
