"""Reading a file from one IPFS gateway, which is not believed.

Each block is asked for as it is (`?format=raw`) and hashed: a file of one block, and a path through
folders of one block each, are verified whole. A gateway that ignores `format` and sends the file is
caught as well: a small file has one usual block, which we make and hash. What is as small and has
another hash is something else, such as an error with status 200. Where nothing can be told (sharded
folders; files of several blocks, but for their size) the gateway's word stands, unverified.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote

import msgspec

from renown.offchain.answer import Answer
from renown.offchain.cid import AS_THEY_ARE, DAG_PB, Cid
from renown.offchain.failed import Failed
from renown.offchain.found import Ask, Found, is_page
from renown.offchain.unixfs import ONE_BLOCK_BYTES, file_block, read_node

_RAW_TYPE = "application/vnd.ipld.raw"
_GIVES_NO_BLOCKS = (400, 406, 415, 501)


class _OnItsWord(msgspec.Struct, frozen=True):
    """Ask for the file itself and take what comes.

    Attributes:
        final: no gateway could prove it.
        size: in bytes, of the file; None where it is not known.
        message: what the gateway gave for the folder above, in place of the block. If it gives the
            same for the file, it means neither.
    """

    final: bool
    size: int | None = None
    message: bytes | None = None


async def read_ipfs(text: str, cid: Cid, steps: Sequence[str], ask: Ask) -> Found:
    """The file at `steps` behind `cid`, which the URI spells `text`."""
    for walked in range(len(steps) + 1):
        if cid.codec != DAG_PB and cid.codec not in AS_THEY_ARE:
            return await _as_it_says(text, steps, ask, _OnItsWord(final=True))
        answer = await _block(_path(text, steps[:walked]), ask)
        if isinstance(answer, Failed) or not 200 <= answer.status < 300:
            return Found(answer)
        verdict = _judge(cid, answer, steps[walked] if walked < len(steps) else None)
        if isinstance(verdict, Found):
            return verdict
        if isinstance(verdict, _OnItsWord):
            return await _as_it_says(text, steps, ask, verdict)
        cid = verdict
    return _no_such_path()  # never reached: the last block is a file or it is judged


async def _block(path: str, ask: Ask) -> Answer | Failed:
    """The block at `path`; from a gateway that gives no blocks, the file."""
    answer = await ask(f"{path}?format=raw", accept=f"{_RAW_TYPE}, */*;q=0.5")
    if isinstance(answer, Answer) and answer.status in _GIVES_NO_BLOCKS:
        return await ask(path)
    return answer


def _judge(cid: Cid, answer: Answer, step: str | None) -> Found | Cid | _OnItsWord:
    """What one answer for the block `cid` means, on the way to `step` (None: arrived)."""
    block = answer.body or b""
    fits = cid.names(block)
    if fits is None:
        return _OnItsWord(final=True)
    if not fits:
        return _judge_misfit(cid, answer, block, step)
    if cid.codec != DAG_PB:
        return Found(answer, verified=True, final=True) if step is None else _no_such_path()
    node = read_node(block)
    if node is None:
        return Found(Failed("unsupported", "no-file"), final=True)
    if node.kind in ("part", "other"):
        return _OnItsWord(final=True, size=node.size)
    if step is not None:
        return node.links.get(step) or _no_such_path()
    if node.kind == "folder":
        return Found(Failed("unsupported", "folder"), final=True)
    return Found(msgspec.structs.replace(answer, body=node.content), verified=True, final=True)


def _judge_misfit(cid: Cid, answer: Answer, block: bytes, step: str | None) -> Found | _OnItsWord:
    """Bytes that are not the block: a lie, or the file itself from one that knows no blocks."""
    if cid.codec != DAG_PB or answer.headers.get("content-type", "").startswith(_RAW_TYPE):
        return _wrong("other-hash")
    if step is not None:
        return _OnItsWord(final=False, message=block)
    if cid.names(file_block(block)):
        return Found(answer, verified=True, final=True)
    if len(block) <= ONE_BLOCK_BYTES and not is_page(answer):
        return _wrong("other-hash")
    return _unless_a_page(Found(answer))


async def _as_it_says(text: str, steps: Sequence[str], ask: Ask, on_its_word: _OnItsWord) -> Found:
    found = _unless_a_page(Found(await ask(_path(text, steps))))
    if not isinstance(found.result, Answer) or not found.good:
        return found
    body = found.result.body or b""
    if on_its_word.size not in (None, len(body)):
        return _wrong("other-size")
    if body == on_its_word.message:
        return _wrong("same-for-all")
    return msgspec.structs.replace(found, final=on_its_word.final)


def _unless_a_page(found: Found) -> Found:
    """Nothing checks these bytes, and a page for people is an error, or a listing, in disguise."""
    if isinstance(found.result, Answer) and found.good and is_page(found.result):
        return _wrong("html-page")
    return found


def _wrong(reason: Literal["other-hash", "other-size", "same-for-all", "html-page"]) -> Found:
    return Found(Failed("wrong-content", reason))


def _no_such_path() -> Found:
    return Found(Failed("http-error", "no-such-path"), final=True)


def _path(text: str, steps: Sequence[str]) -> str:
    return "/".join(["/ipfs", quote(text, safe=""), *(quote(step, safe="") for step in steps)])
