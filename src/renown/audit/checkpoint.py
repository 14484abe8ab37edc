"""Signed tree heads: C2SP tlog-checkpoint, which is a C2SP signed note.

A note is UTF-8 text, an empty line, and lines of signatures over that text:

    renown.example
    1042
    cL8q…=
    link 3x0f…=

    — renown.example qG1Pz…=

The text is the log's origin, its size, its root in base64, and, as an extension, the link of its
last entry. A signature is Ed25519, preceded by the four bytes that name the key.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import msgspec
from Crypto.Signature import eddsa

from renown.errors import AuditBroken, BadParameter

ED25519 = b"\x01"
MARK = "\N{EM DASH} "
"""How a line of a signature begins."""
MOST_NOTE_BYTES = 4_096

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_VERIFIER = re.compile(r"([^\s+]{1,100})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


class Checkpoint(msgspec.Struct, frozen=True):
    """What a note says: root and link of the first `size` entries of the log `origin`."""

    origin: str
    size: int
    root_hash: bytes
    link_hash: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        root, link = _base64(self.root_hash), _base64(self.link_hash)
        return f"{self.origin}\n{self.size}\n{root}\nlink {link}\n"


class Verifier(msgspec.Struct, frozen=True):
    """A public key, and the name it goes by: the origin of the log it signs for."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:4]

    @property
    def text(self) -> str:
        """The key as it is handed on: `name+id+base64`."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(ED25519 + self.public_key)}"

    @classmethod
    def read(cls, text: str) -> Verifier:
        """The key that `text` writes down.

        Raises:
            BadParameter: it is none, or not of Ed25519.
        """
        match = _VERIFIER.fullmatch(text.strip())
        key = _unbase64(match[3]) if match else b""
        if match is None or len(key) != 33 or key[:1] != ED25519:
            raise BadParameter("a verifier key is written `name+id+base64`", parameter="key")
        found = cls(match[1], key[1:])
        if found.key_id.hex() != match[2]:
            raise BadParameter("the verifier key's id does not fit the key", parameter="key")
        try:
            eddsa.import_public_key(found.public_key)
        except ValueError:
            raise BadParameter("the verifier key is no point of Ed25519", parameter="key") from None
        return found

    def signed(self, note: str) -> bool:
        """Whether one of the note's signatures is by this key and good."""
        text, lines = _parted(note)
        for name, blob in map(_signature, lines):
            if name == self.name and blob[:4] == self.key_id and self._fits(text, blob[4:]):
                return True
        return False

    def _fits(self, text: str, signature: bytes) -> bool:
        try:
            key = eddsa.import_public_key(self.public_key)
            eddsa.new(key, "rfc8032").verify(text.encode(), signature)
        except ValueError:
            return False
        return True


class Signer:
    """A private key that signs checkpoints of the log it is named for."""

    def __init__(self, name: str, seed: bytes) -> None:
        """`seed` is the 32 bytes of RFC 8032."""
        self._key = eddsa.import_private_key(seed)
        public: bytes = self._key.public_key().export_key(format="raw")
        self.verifier = Verifier(name, public)

    def note(self, size: int, root_hash: bytes, link_hash: bytes) -> str:
        """The signed checkpoint. The same for the same tree: Ed25519 takes no chance."""
        text = Checkpoint(self.verifier.name, size, root_hash, link_hash).text
        signature = eddsa.new(self._key, "rfc8032").sign(text.encode())
        blob = _base64(self.verifier.key_id + signature)
        return f"{text}\n{MARK}{self.verifier.name} {blob}\n"


def read_note(note: str) -> Checkpoint:
    """What a note says, whoever signed it.

    Raises:
        AuditBroken: it is no checkpoint with a link.
    """
    text, signatures = _parted(note)
    lines = text.split("\n")[:-1]
    if len(lines) < 4 or not signatures or not lines[0] or _SIZE.fullmatch(lines[1]) is None:
        raise AuditBroken("this is no checkpoint of a log")
    links = [line.removeprefix("link ") for line in lines[3:] if line.startswith("link ")]
    root = _unbase64(lines[2])
    link = _unbase64(links[0]) if len(links) == 1 else b""
    if len(root) != 32 or len(link) != 32:
        raise AuditBroken("the checkpoint's root or link is no hash")
    return Checkpoint(lines[0], int(lines[1]), root, link)


def verify_note(note: str, verifiers: Sequence[Verifier]) -> Checkpoint:
    """What a note says, signed by one of `verifiers` for the log of its own name.

    Raises:
        AuditBroken: no checkpoint, or none that one of them signed.
    """
    found = read_note(note)
    for verifier in verifiers:
        if verifier.name == found.origin and verifier.signed(note):
            return found
    raise AuditBroken("nobody whose key is known signed this checkpoint", size=found.size)


def split_notes(lines: Iterable[str]) -> Iterator[str]:
    """The notes of a file that holds them one after the other, each followed by an empty line.

    What was cut off at the end is left out. Lines come without their line feeds.
    """
    held: list[str] = []
    for line in lines:
        if not line and held and held[-1].startswith(MARK):
            yield _joined(held)
            held = []
        elif line or held:
            held.append(line)


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _parted(note: str) -> tuple[str, list[str]]:
    """The signed text, and the lines of signatures; nothing of what is no note."""
    text, parted, rest = note.partition("\n\n")
    lines = rest.removesuffix("\n").split("\n")
    if not parted or len(note) > MOST_NOTE_BYTES or not all(s.startswith(MARK) for s in lines):
        return "", []
    return text + "\n", lines


def _signature(line: str) -> tuple[str, bytes]:
    name, _, blob = line.removeprefix(MARK).partition(" ")
    return name, _unbase64(blob)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _unbase64(text: str) -> bytes:
    """Empty for what is no base64, or not as we would write it."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return content if _base64(content) == text else b""
