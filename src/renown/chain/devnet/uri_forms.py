"""Agent URIs, in every form that the network has shown. Pure.

Hosts are under `.example` (RFC 2606): nobody owns them, so nothing that the devnet writes leads
into the world. The devnet's own origin answers for them; what points elsewhere must be refused.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable
from random import Random
from urllib.parse import quote

import msgspec

from renown.chain.devnet.files import Files, Home
from renown.chain.devnet.personas import Persona
from renown.chain.devnet.registrations import old_names

NOT_UTF8 = b"caf\xe9 \xff\xfe \xed\xa0\x80"
"""Latin-1, two impossible bytes, and half a surrogate pair."""


class Draft(msgspec.Struct, frozen=True):
    """A registration file that its agent is about to publish, and where it may."""

    agent: Persona
    file: bytes
    files: Files


UriForm = Callable[[Draft], bytes]
"""Publishes the draft if need be, and gives a URI of it."""


def common_uri(rng: Random, draft: Draft) -> bytes:
    """A URI in a form picked with weights like the network's."""
    return rng.choices(list(COMMON_FORMS), weights=list(COMMON_FORMS.values()))[0](draft)


def data_uri(content: bytes) -> bytes:
    """The standard's form of a URI that is its own content."""
    return b"data:application/json;base64," + base64.b64encode(content)


def _base64(draft: Draft) -> bytes:
    return base64.b64encode(draft.file)


def _data(draft: Draft) -> bytes:
    return data_uri(draft.file)


def _data_gzip(draft: Draft) -> bytes:
    squeezed = gzip.compress(draft.file, compresslevel=6, mtime=0)
    return b"data:application/json;enc=gzip;level=6;base64," + base64.b64encode(squeezed)


def _ipfs(draft: Draft) -> bytes:
    return b"ipfs://" + draft.files.pin(draft.file).encode()


def _ipfs_added(draft: Draft) -> bytes:
    return b"ipfs://" + draft.files.pin_file(draft.file).encode()


def _ipfs_folder(draft: Draft) -> bytes:
    folder = draft.files.pin_folder({"agent.json": draft.file})
    return f"ipfs://{folder}/agent.json".encode()


def _arweave(draft: Draft) -> bytes:
    return b"ar://" + draft.files.upload(draft.file).encode()


def _https_shared(draft: Draft) -> bytes:
    """On a host that keeps the files of many."""
    home = Home(draft.agent.shared_host, f"/{draft.agent.agent_id}.json")
    return draft.files.move_in(draft.agent, home, draft.file)


def _https_own(draft: Draft) -> bytes:
    """On the host it also serves from, which makes that host its own (ERC-8004)."""
    return draft.files.move_in(draft.agent, Home(draft.agent.host, "/agent.json"), draft.file)


def _http(draft: Draft) -> bytes:
    """On one page for whoever comes: it shows the file of the last."""
    draft.files.put("plain.example", "/agent.json", draft.file)
    return b"http://plain.example/agent.json"


COMMON_FORMS: dict[UriForm, int] = {
    lambda _: b"": 15,
    _data: 30,
    _https_shared: 15,
    _https_own: 20,
    _ipfs: 8,
    _ipfs_added: 5,
    _arweave: 2,
    _data_gzip: 5,
}

URI_FORMS: dict[str, UriForm] = {
    "empty": lambda _: b"",
    "ipfs": _ipfs,
    "ipfs, version 0": _ipfs_added,
    "ipfs, path": _ipfs_folder,
    "ipfs, doubled": lambda draft: b"ipfs://ipfs/" + draft.files.pin(draft.file).encode(),
    "ipfs, bare": lambda draft: draft.files.pin(draft.file).encode(),
    "ipfs, hex": lambda draft: b"ipfs://0x" + hashlib.sha256(draft.file).hexdigest().encode(),
    "https": _https_shared,
    "https, own host": _https_own,
    "http": _http,
    "https, loopback": lambda _: b"https://127.0.0.1/agent.json",
    "http, link-local": lambda _: b"http://169.254.169.254/latest/meta-data/",
    "data, base64": _data,
    "data, base64 with charset": lambda draft: (
        b"data:application/json;charset=utf-8;base64," + _base64(draft)
    ),
    "data, base64url unpadded": lambda draft: (
        b"data:application/json;base64," + base64.urlsafe_b64encode(draft.file).rstrip(b"=")
    ),
    "data, base64 with spaces": lambda draft: (
        b"data:application/json;base64,\n " + b" ".join(_base64(draft).partition(b"J"))
    ),
    "data, percent": lambda draft: b"data:application/json," + quote(draft.file).encode(),
    "data, raw": lambda draft: (
        b"data:application/json;utf8," + draft.file.replace(b". ", b". 100% #1. ", 1)
    ),
    "data, base64 label on plain JSON": lambda draft: b"data:application/json;base64," + draft.file,
    "data, gzip": _data_gzip,
    "data, no comma": lambda _: b"data:application/json;uuid=1f0c",
    "data, broken base64": lambda _: b"data:application/json;base64,%%%=",
    "data, svg": lambda _: b"data:image/svg+xml,<svg onload='alert(1)'/>",
    "JSON, bare": lambda draft: draft.file,
    "JSON, cut short": lambda draft: draft.file[: len(draft.file) // 2],
    "JSON, array": lambda draft: b"[" + draft.file + b"]",
    "JSON, deep": lambda _: b'{"name":' + b"[" * 3000 + b"]" * 3000 + b"}",
    "JSON, old names": lambda draft: old_names(draft.file),
    "arweave": _arweave,
    "ipns": lambda _: b"ipns://agent.example",
    "ftp": lambda _: b"ftp://files.example/agent.json",
    "text": lambda _: b"tinybanana",
    "placeholder": lambda _: b"https://agents.example/{agentId}.json",
    "not UTF-8": lambda _: b"https://agents.example/" + NOT_UTF8,
    "not UTF-8, JSON": lambda draft: draft.file.replace(b'"name":"', b'"name":"' + NOT_UTF8),
    "NUL": lambda _: b"https://agents.example/\x00/agent.json",
    "markup": lambda _: b"javascript:alert('<script>')",
    "long": lambda _: b"data:text/plain," + b"long " * 4000,
}
"""Every form of an agent URI that the network has shown, and some it has not yet."""
