"""One endpoint: JSON-RPC over HTTP, with deadlines, a size cap and typed answers.

Nothing a node says is taken on trust here: not the length of its answer, not its ids, not its
shape. What it says about the chain is checked further up. The URL may carry a key, so outside
this module a node is only ever called by its host.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from renown.chain.refusals import CallReverted, Refusal
from renown.chain.transport import (
    Answer,
    HttpTransport,
    Transport,
    host_of,
    operator_of,
    secrets_of,
)
from renown.errors import NodeError, NodeInconsistent, NodeTimeout, RangeTooWide

__all__ = ["CallReverted", "Node", "Refusal", "Transport"]

T = TypeVar("T")

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_BATCH_CALLS = 100
DEADLINE_SECONDS = 30.0

_EXECUTING = ("eth_call", "eth_estimateGas")
_REVERT_CODES = (3, -32015)
_NO_BATCH_CODES = (-32600, -32601, -32602)
_ENCODE = msgspec.json.Encoder().encode
_UNANSWERED: Any = object()


class _Fault(msgspec.Struct, gc=False):
    code: int | None = None
    message: str = ""
    data: Any = None


class _Reply(msgspec.Struct, Generic[T]):
    id: int | None = None
    result: T | msgspec.UnsetType = msgspec.UNSET
    error: _Fault | None = None


class Node:
    """One endpoint of one chain.

    Calls raise NodeRefused (`Refusal`, with the node's code), NodeTimeout, RangeTooWide (logs past
    the size cap), NodeInconsistent (an answer of the wrong shape or to another
    request) or CallReverted. Messages name the host only.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: Transport | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_batch_calls: int = MAX_BATCH_CALLS,
    ) -> None:
        self.host = host_of(url)
        self.operator = operator_of(url)
        self.batch_calls = max_batch_calls
        self.requests = 0
        self._secrets = secrets_of(url)
        self._transport = transport or HttpTransport(url)
        self._deadline_seconds = deadline_seconds
        self._max_answer_bytes = max_answer_bytes
        self._next_id = 1
        self._decoders: dict[tuple[Any, bool], msgspec.json.Decoder[Any]] = {}

    def __repr__(self) -> str:
        return f"Node({self.host})"

    async def close(self) -> None:
        """Give back connections."""
        await self._transport.close()

    async def call(
        self,
        method: str,
        params: Sequence[Any],
        kind: type[T],
        *,
        deadline: float | None = None,
        max_bytes: int | None = None,
    ) -> T:
        """One call; its result as `kind`. `deadline` is in seconds from now."""
        request_id = self._take_ids(1)
        body = _ENCODE(_request(request_id, method, params))
        try:
            answer = await self._post(body, method, deadline, max_bytes)
        except RangeTooWide as exc:
            if method == "eth_getLogs":
                raise
            raise NodeInconsistent(exc.detail, host=self.host) from None  # nothing to narrow
        reply = self._decode(answer, method, kind, many=False)
        if answer.status != 200 and reply.error is None:
            raise self._http_refusal(answer, method)
        if reply.id != request_id and not (reply.id is None and reply.error is not None):
            raise NodeInconsistent(f"{self.host} answered another request", host=self.host)
        result = self._result(reply, method, answer)
        if isinstance(result, NodeError):
            raise result
        return result  # type: ignore[no-any-return]

    async def batch(
        self,
        method: str,
        calls: Sequence[Sequence[Any]],
        kind: type[T],
        *,
        deadline: float | None = None,
        slim: Callable[[bytes], bytes] | None = None,
    ) -> list[T | NodeError]:
        """Many calls of one method, in order; a call that failed alone is its NodeError.

        Args:
            slim: takes what nobody reads out of an answer before it is parsed.

        Sent as JSON-RPC batches as wide as the node takes; a node that takes none is asked one
        by one. An answer that cannot be trusted as a whole raises.
        """
        results: list[T | NodeError] = []
        done = 0
        while done < len(calls):
            part = calls[done : done + self.batch_calls]
            if len(part) == 1:
                results.append(await self._alone(method, part[0], kind, deadline))
                done += 1
                continue
            answers = await self._batch(method, part, kind, deadline, slim)
            if answers is None:  # too wide for this node, or not at all
                self.batch_calls = max(1, len(part) // 4)
                continue
            results.extend(answers)
            done += len(part)
        return results

    async def _alone(
        self, method: str, params: Sequence[Any], kind: type[T], deadline: float | None
    ) -> T | NodeError:
        try:
            return await self.call(method, params, kind, deadline=deadline)
        except Refusal as exc:
            if exc.transient or exc.http_status != 200:
                raise
            return exc
        except CallReverted as exc:
            return exc

    async def _batch(
        self,
        method: str,
        part: Sequence[Sequence[Any]],
        kind: type[T],
        deadline: float | None,
        slim: Callable[[bytes], bytes] | None,
    ) -> list[T | NodeError] | None:
        first_id = self._take_ids(len(part))
        requests = [_request(first_id + i, method, params) for i, params in enumerate(part)]
        try:
            answer = await self._post(_ENCODE(requests), method, deadline, None)
        except RangeTooWide:
            return None
        except Refusal as exc:
            if exc.http_status in (400, 405, 413):
                return None
            raise
        if answer.body[:64].lstrip()[:1] != b"[":
            reply = self._decode(answer, method, Any, many=False)
            fault = self._result(reply, method, answer)
            if isinstance(fault, Refusal) and (
                fault.code in _NO_BATCH_CODES or "batch" in fault.detail.lower()
            ):
                return None
            if isinstance(fault, NodeError):
                raise fault
            raise NodeInconsistent(f"{self.host} answered a batch with one value", host=self.host)
        if slim is not None:
            answer = msgspec.structs.replace(answer, body=slim(answer.body))
        results: list[Any] = [_UNANSWERED] * len(part)
        for reply in self._decode(answer, method, kind, many=True):
            if reply.id is None and reply.error is not None:
                continue  # an error that names no call: those it stands for stay unanswered
            place = -1 if reply.id is None else reply.id - first_id
            if not 0 <= place < len(part) or results[place] is not _UNANSWERED:
                raise NodeInconsistent(f"{self.host} answered another request", host=self.host)
            results[place] = self._result(reply, method, answer)
        return [self._missing(method) if item is _UNANSWERED else item for item in results]

    async def _post(
        self, body: bytes, method: str, deadline: float | None, max_bytes: int | None
    ) -> Answer:
        self.requests += 1
        cap = max_bytes or self._max_answer_bytes
        seconds = self._deadline_seconds if deadline is None else deadline
        answer: Answer | None = None
        try:
            async with asyncio.timeout(seconds):
                answer = await self._transport.post(body, max_bytes=cap)
        except TimeoutError:
            pass
        if answer is None:
            raise NodeTimeout(
                f"{self.host} did not answer {method} in {seconds:g} s", host=self.host
            )
        if answer.status != 200 and answer.body[:64].lstrip()[:1] not in (b"{", b"["):
            raise self._http_refusal(answer, method)
        return answer

    def _decode(self, answer: Answer, method: str, kind: Any, *, many: bool) -> Any:
        decoder = self._decoders.get((kind, many))
        if decoder is None:
            reply: Any = _Reply[kind]
            decoder = msgspec.json.Decoder(list[reply] if many else reply)
            self._decoders[kind, many] = decoder
        failure: NodeError
        try:
            return decoder.decode(answer.body)
        except (msgspec.ValidationError, RecursionError) as exc:
            if answer.status != 200:
                failure = self._http_refusal(answer, method)
            else:
                failure = NodeInconsistent(
                    f"{self.host}: the answer to {method} has another shape: "
                    f"{self._clean(str(exc))}",
                    host=self.host,
                )
        except (msgspec.DecodeError, UnicodeDecodeError):
            failure = Refusal(
                f"{self.host}: the answer to {method} is not JSON, or cut short",
                http_status=answer.status,
                transient=True,
                host=self.host,
            )
        raise failure

    def _result(self, reply: _Reply[Any], method: str, answer: Answer) -> Any:
        fault = reply.error
        if fault is None:
            if reply.result is msgspec.UNSET:
                return NodeInconsistent(
                    f"{self.host} answered {method} with neither result nor error", host=self.host
                )
            if answer.status != 200:
                return self._http_refusal(answer, method)
            return reply.result
        text = self._clean(fault.message)
        if method in _EXECUTING and (data := _revert_data(fault)) is not None:
            return CallReverted(f"call reverted: {text}", revert_data=data, host=self.host)
        return Refusal(
            f"{self.host} refused {method}: {text}",
            code=fault.code,
            http_status=answer.status,
            retry_after_seconds=_retry_after(answer.retry_after),
            host=self.host,
            node_message=text,
        )

    def _http_refusal(self, answer: Answer, method: str) -> Refusal:
        return Refusal(
            f"{self.host} answered {method} with HTTP {answer.status}",
            http_status=answer.status,
            retry_after_seconds=_retry_after(answer.retry_after),
            transient=True,
            host=self.host,
        )

    def _missing(self, method: str) -> Refusal:
        return Refusal(
            f"{self.host} left {method} unanswered in a batch", transient=True, host=self.host
        )

    def _take_ids(self, count: int) -> int:
        first, self._next_id = self._next_id, self._next_id + count
        return first

    def _clean(self, text: str) -> str:
        """A node's words, short, printable and without the parts of its own URL."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in text[:300])


def _request(request_id: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def _retry_after(value: str | None) -> float | None:
    """Seconds of a Retry-After header in either form (RFC 9110, 10.2.3), 0 to 300."""
    if value is None:
        return None
    seconds: float
    if value.strip().isascii() and value.strip().isdigit():
        seconds = float(value.strip()[:6])
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError, TypeError):
            return None
    return min(300.0, max(0.0, seconds))


def _revert_data(fault: _Fault) -> bytes | None:
    """The data of a reverted call; None where the error is no revert.

    geth, anvil: code 3 and hex in `data`. Nethermind: -32015. Others wrap it in an object or
    write `Reverted 0x...`.
    """
    data = fault.data
    if isinstance(data, dict):
        data = data.get("data") or data.get("result")
    text = data if isinstance(data, str) else ""
    hex_text = text[text.find("0x") + 2 :] if "0x" in text else ""
    if fault.code not in _REVERT_CODES and "revert" not in f"{fault.message} {text}".lower():
        return None
    try:
        return bytes.fromhex(hex_text[:8_192])
    except ValueError:
        return b""
