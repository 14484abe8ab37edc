"""Bodies that mean harm, to every route that takes one: a 4xx that says why, and nothing kept."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.hostile import Target, quiet_logs, require_problem, target_on

DEEP = 100_000
MANY = 230_000
"""Numbers that still fit into the largest body."""
RAW: dict[str, bytes] = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"from"',
    "a number": b"17",
    "cut off": b'{"from": "0x',
    "two values": b"{}{}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"from": 1}'.encode("utf-16"),
    "no UTF-8": b'{"from": "\xff\xfe"}',
    "NUL bytes": b"\0" * 100,
    "NaN": b'{"from": NaN}',
    "Infinity": b'{"from": -Infinity}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and open": b'{"file":' + b"[" * DEEP,
    "brackets in a text": b'{"nobody": "' + b"[" * DEEP + b'"}',
    "many numbers": b'{"nobody": [' + b"1," * MANY + b"1]}",
    "many members": b"{" + b",".join(b'"%d":0' % n for n in range(40_000)) + b"}",
    "a huge integer": b'{"nobody": ' + b"9" * 100_000 + b"}",
    "a huge exponent": b'{"nobody": 1e' + b"9" * 1000 + b"}",
    "a long name": b'{"' + b"n" * 400_000 + b'": 1}',
    "a lone surrogate as a name": b'{"\\ud800": 1}',
}
WRITES = [
    *("register", "update", "wallet", "feedback", "revoke", "response", "validation", "verdict"),
    *("payment", "key", "rotate", "challenge", "prove", "sign-in", "session", "batch"),
    *("transactions", "signature", "filed", "rated", "signed", "relayed", "settled"),
]
HUGE = "a number of 5,000 digits"
MAY_BE_EMPTY = {"revoke", "rotate"}
BAD_VALUES: tuple[Any, ...] = (
    *(True, -1, 2**63, 2**64, 10**40, 1.5, -0.0, 1e308, "", " ", "0x", "\0", "\ud800", "\u202e"),
    *(HUGE, "x" * 100_000, "0x" + "g" * 40, [], [[]], [None], {}, {"a": {"b": []}}, {"hex": "0x0"}),
)


@pytest.fixture
async def target(fresh_database_url: str) -> AsyncIterator[Target]:
    async with target_on(fresh_database_url) as target:
        yield target


async def send(target: Target, write: str, content: bytes, **headers: str) -> httpx.Response:
    method, path, _ = target.writes[write]
    given = {"Content-Type": "application/json"} | target.me.headers | headers
    return await target.client.request(method, path, content=content, headers=given)


def changed(body: dict[str, Any]) -> Iterator[tuple[str, Any, bytes]]:
    """`body` with one member after the other, however deep, replaced by what it cannot be."""
    for path in members(body):
        for value in BAD_VALUES:
            # Lone surrogates as escapes, as a client writes them that knows no better.
            raw = json.dumps(replaced(body, path, value)).encode()
            yield ".".join(map(str, path)), value, raw.replace(b'"%s"' % HUGE.encode(), b"9" * 5000)


def members(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something can be replaced."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from members(inner, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """`value` with another member at `path`."""
    if not path:
        return by
    name, *rest = path
    copy = value.copy()
    copy[name] = replaced(value[name], tuple(rest), by)
    return copy


async def test_bodies__that_are_not_what_a_route_takes__are_refused_and_leave_nothing(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    before, wrong = await target.stored(), []
    with quiet_logs(caplog):
        for write in WRITES:
            for name, raw in RAW.items():
                if name == "nothing" and write in MAY_BE_EMPTY:
                    continue
                answer = await send(target, write, raw)
                try:
                    require_problem(answer)
                except AssertionError as error:
                    wrong.append(f"{write}: {name}: {error}")
    assert not wrong
    assert await target.stored() == before


async def test_members__of_the_wrong_kind_or_size__are_refused_and_leave_nothing(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    wrong, refused, taken = [], 0, 0
    before = await target.stored()
    with quiet_logs(caplog):
        for write in WRITES:
            for name, value, raw in changed(target.writes[write][2]):
                answer = await send(target, write, raw)
                if answer.status_code < 300:
                    taken += 1
                    before = await target.stored()
                    continue
                refused += 1
                try:
                    require_problem(answer)
                    after = await target.stored()
                    assert after == before
                except AssertionError as error:
                    wrong.append(f"{write}: {name}={value!r:.60}: {error}")
    print(f"\n{refused} bodies refused, {taken} taken: texts, and files that may hold anything")  # noqa: T201
    assert not wrong
    assert refused > 5 * taken
