"""The bytes of an answer, taken in piece by piece and never beyond a bound. Pure."""

from __future__ import annotations

import zlib

_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's `wbits`


class Body:
    """Collects a body that is sent as it is.

    `over` is set once there is more than `most` bytes; what is kept is at most that.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()  # not a list of pieces: a piece can be a single byte
        self.over = False

    def feed(self, data: bytes) -> None:
        """Take in the next piece."""
        room = self._room()
        self.over = self.over or len(data) > room
        self._kept += data if len(data) <= room else data[:room]

    def whole(self) -> bytes | None:
        """All of it; None if the coding broke or ended too early."""
        return self.so_far()

    def so_far(self) -> bytes:
        """What has come."""
        return bytes(self._kept)

    def _room(self) -> int:
        return self._most - len(self._kept)


class Inflating(Body):
    """Collects a body sent as gzip or deflate, inflated never beyond the bound.

    We ask for no coding at all (`Accept-Encoding: identity`), but some hosts compress regardless.
    Deflate is read with and without its zlib header, as browsers do.
    """

    def __init__(self, most: int, coding: str) -> None:
        super().__init__(most)
        self._coding = coding
        self._stream: zlib._Decompress | None = None
        self._broken = False

    def feed(self, data: bytes) -> None:
        if self._broken or self.over or not data:
            return
        if self._stream is None:
            self._stream = zlib.decompressobj(self._kind(data))
        if self._stream.eof:
            self._broken = True  # a second stream behind the first: nobody honest sends that
            return
        try:
            # One byte more than there is room for tells "full" from "over".
            super().feed(self._stream.decompress(data, self._room() + 1))
        except zlib.error:
            self._broken = True
        else:
            self._broken = bool(self._stream.unused_data)

    def whole(self) -> bytes | None:
        if self._broken or self._stream is None or not self._stream.eof:
            return None
        return self.so_far()

    def _kind(self, data: bytes) -> int:
        if self._coding != "deflate":
            return _GZIP
        return _ZLIB if data[0] & 0x0F == 8 else _RAW  # RFC 1950: the method of a zlib header


def body_for(coding: str, most: int) -> Body | None:
    """A collector for a Content-Encoding; None for one we do not read (br, zstd, several)."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return Body(most)
    if coding in ("gzip", "x-gzip", "deflate"):
        return Inflating(most, coding)
    return None
