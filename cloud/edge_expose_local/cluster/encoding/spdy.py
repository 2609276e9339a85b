"""SPDY/3.1 frames, as far as kubectl's port-forward needs them: streams, their headers, data and pings."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 1
# The dictionary that the protocol starts its compression with: words with their lengths, then a text.
_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow
authorization cache-control connection content-base content-encoding content-language content-length content-location
content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match
if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range
referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get
status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin
"""
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.replace("_", " ").encode() for word in _WORDS.split()) + _TEXT.encode()
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame that came; `kind` is 0 for data."""

    kind: int
    stream: int
    flags: int
    data: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str:
        """The value of a header, "" without it."""
        return dict(self.headers).get(name, "")


class Session:
    """Reads and writes the frames of one connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole by now; raises ValueError for bytes that are none."""
        self._buffer += data
        while len(self._buffer) >= 8:
            flags, size = self._buffer[4], int.from_bytes(self._buffer[5:8], "big")
            if len(self._buffer) < 8 + size:
                return
            head, body = self._buffer[:4], self._buffer[8 : 8 + size]
            self._buffer = self._buffer[8 + size :]
            if not head[0] & 0x80:
                yield Frame(0, int.from_bytes(head, "big"), flags, body)
                continue
            kind = int.from_bytes(head[2:], "big")
            stream = int.from_bytes(body[:4], "big") & 0x7FFFFFFF
            headers = self._headers(body[10:]) if kind == SYN_STREAM else ()
            yield Frame(kind, stream, flags, body, headers)

    def _headers(self, block: bytes) -> tuple[tuple[str, str], ...]:
        try:
            plain = self._inflate.decompress(block)
            (count,), at = struct.unpack(">I", plain[:4]), 4
            texts: list[str] = []
            for _ in range(2 * count):
                (size,) = struct.unpack(">I", plain[at : at + 4])
                texts.append(plain[at + 4 : at + 4 + size].decode())
                at += 4 + size
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"headers cannot be read: {error}") from None
        return tuple(zip(texts[::2], texts[1::2], strict=True))

    def reply(self, stream: int) -> bytes:
        """Accept a stream."""
        block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return self._control(SYN_REPLY, struct.pack(">I", stream) + block)

    def pong(self, ping: Frame) -> bytes:
        """Answer a ping."""
        return self._control(PING, ping.data[:4])

    @staticmethod
    def _control(kind: int, body: bytes) -> bytes:
        return struct.pack(">HH", 0x8003, kind) + b"\0" + len(body).to_bytes(3, "big") + body

    @staticmethod
    def data(stream: int, content: bytes, *, last: bool = False) -> bytes:
        """Send bytes on a stream."""
        return struct.pack(">I", stream) + bytes([FIN if last else 0]) + len(content).to_bytes(3, "big") + content
