"""Log lines: their form, and that no secret gets into one by any way."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from renown.obs.hosts import UNKNOWN_HOST, host_of
from renown.obs.logging import Format, configure_logging, redact, redact_text

SECRET = "hunter2hunter2"


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


def configured(log_format: Format = "json", level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(log_format, level, stream=stream)
    return stream


def test_json__one_object_a_line_with_bound_context():
    stream = configured()

    with structlog.contextvars.bound_contextvars(chain="base"):
        structlog.get_logger().info("block_stored", block_number=7, hash=b"\x01\x02")

    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "block_stored",
        "level": "info",
        "chain": "base",
        "block_number": 7,
        "hash": "0x0102",
    }


def test_level__below__is_not_written():
    stream = configured(level="warning")

    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_exception__is_written_redacted(log_format: Format):
    stream = configured(log_format)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            raise OSError(f"no route to https://node.example/v3/{SECRET}")
        except OSError:
            structlog.get_logger().exception("rpc_failed")

    text = stream.getvalue()
    assert "OSError" in text
    assert "https://node.example" in text
    assert SECRET not in text


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_library_loggers__pass_the_same_way(log_format: Format):
    stream = configured(log_format)

    logging.getLogger("asyncio").warning("GET %s", f"https://u:{SECRET}@node.example:8545/x")

    text = stream.getvalue()
    assert "https://node.example:8545" in text
    assert SECRET not in text
    if log_format == "json":
        assert json.loads(text)["logger"] == "asyncio"


@pytest.mark.parametrize(
    "event",
    [
        {"url": f"https://node.example/v3/{SECRET}"},
        {"url": f"https://{SECRET}@node.example/"},
        {"dsn": SECRET},
        {"dsn": f"postgresql://renown:{SECRET}@db:5432/x"},
        {"error": f"cannot open postgresql://renown:{SECRET}@db:5432/x, giving up"},
        {"error": f"bad header Authorization: Bearer {SECRET}"},
        {"error": f"host=db password={SECRET} dbname=x"},
        {"error": f"password = '{SECRET} {SECRET}'"},
        {"error": f"https://node.example/?apikey={SECRET}&x=1"},
        {"Authorization": SECRET},
        {"headers": {"authorization": SECRET, "X-Api-Key": SECRET}},
        {"api_key": SECRET},
        {"urls": [f"http://a/{SECRET}", (f"http://b/{SECRET}",)]},
        {"exc": OSError(f"http://a/{SECRET}")},
    ],
)
def test_redact__secret_anywhere__is_hidden(event: dict[str, object]):
    assert SECRET not in str(redact(None, "info", dict(event)))


def test_redact__what_is_no_secret__stays():
    event = {"event": "stored", "count": 3, "ratio": 0.5, "none": None, "agent": "eip155:1:0xab:1"}

    assert redact(None, "info", dict(event)) == event
    assert redact_text("see https://a.b:1/c?d, please") == "see https://a.b:1, please"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Node.Example/v3/key", "node.example"),
        ("http://u:p@h:8545/x", "h:8545"),
        ("http://u:p@x@h:8545/x", "h:8545"),
        ("https://[::1]:8545/key", "[::1]:8545"),
        ("postgresql://u:p@db/x?password=y", "db"),
        ("https://h?key=1", "h"),
        ("https://h#key", "h"),
        ("https://key@", UNKNOWN_HOST),
        ("not a url", UNKNOWN_HOST),
        ("https:///key", UNKNOWN_HOST),
        ("https://ho st/key", UNKNOWN_HOST),
        ("", UNKNOWN_HOST),
    ],
)
def test_host_of__url__is_its_host_and_port(url: str, host: str):
    assert host_of(url) == host


@given(
    st.sampled_from(["https://", "postgresql://u:"]),
    st.text(max_size=20),
    st.sampled_from(["@h.example/", "h.example/"]),
    st.text(max_size=20),
)
def test_redact_text__any_path__never_shows_it(scheme: str, user: str, host: str, path: str):
    """A marker after the first slash never comes through, whatever stands around it."""
    cleaned = redact_text(f"{scheme}x{host}{SECRET}")

    assert SECRET not in cleaned
    assert SECRET not in host_of(f"{scheme}{user}{host}{path}/{SECRET}")
