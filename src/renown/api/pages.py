"""Page cursors: where the next page begins, signed, and bound to the query they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

from renown.errors import BadCursor

_VERSION = b"\x01"
_MAC_BYTES = 16
_LONGEST = 512


class Cursors:
    """Writes and reads cursors with one key; API processes that share a key share cursors.

    A cursor is base64url of: a version byte, the keyset position in MessagePack, and 16 bytes of
    HMAC-SHA256 over both and the scope, which names the query. It holds no secret and does not age:
    the position it names stays meaningful whatever comes or goes around it.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"renown cursor" + key).digest()

    def write(self, position: tuple[Any, ...], scope: str) -> str:
        """A cursor for `position` of the query `scope`."""
        said = _VERSION + msgspec.msgpack.encode(position)
        return base64.urlsafe_b64encode(said + self._mac(said, scope)).rstrip(b"=").decode()

    def read(self, cursor: str, scope: str) -> tuple[Any, ...]:
        """The position that `write` was given with the same scope.

        Raises:
            BadCursor: not one of ours, damaged, or from another query.
        """
        try:
            if len(cursor) > _LONGEST:
                raise ValueError
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
            said, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
            if not hmac.compare_digest(mac, self._mac(said, scope)):
                raise ValueError
            return tuple(msgspec.msgpack.decode(said[1:], type=list[Any]))
        except (ValueError, binascii.Error, msgspec.DecodeError):
            raise BadCursor(
                "use `next_cursor` as it was given, with the same path and filters, or leave it out"
                " to begin at the first page",
                parameter="cursor",
            ) from None

    def _mac(self, said: bytes, scope: str) -> bytes:
        mac = hmac.new(self._key, said + b"\0" + scope.encode("utf-8", "replace"), hashlib.sha256)
        return mac.digest()[:_MAC_BYTES]
