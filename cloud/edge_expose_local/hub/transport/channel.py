"""A stream of bytes to one peer, whatever carries it: what the MQTT side asks of a connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from cryptography import x509
from OpenSSL import SSL

CHUNK = 65536


class Channel(Protocol):
    async def read(self) -> bytes:
        """The next bytes, empty at the end. Raises OSError when the peer is gone."""

    def write(self, data: bytes) -> None:
        """Queues bytes."""

    async def drain(self) -> None:
        """Waits until the peer has taken most of what is queued."""

    @property
    def waiting(self) -> int:
        """Bytes that the peer has not taken yet."""

    @property
    def closing(self) -> bool: ...

    def abort(self) -> None:
        """Ends the connection at once."""

    @property
    def certificates(self) -> list[x509.Certificate]:
        """The peer's certificate and what it sent along to vouch for it; nothing of it is checked yet."""


class WriterChannel:
    """What all channels on asyncio's streams have in common; reading is each one's own."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    @property
    def waiting(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    @property
    def closing(self) -> bool:
        return self._writer.is_closing()

    def abort(self) -> None:
        self._writer.transport.abort()

    @property
    def certificates(self) -> list[x509.Certificate]:
        return []


class TlsChannel(WriterChannel):
    """TLS on a plain stream, with whatever certificate the peer shows.

    Python's own `ssl` can only ask for client certificates that it can trace to a known authority; a device that
    signs in with a thumbprint has none. So the handshake is pyOpenSSL's, which leaves the verdict to the caller.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: SSL.Context) -> None:
        super().__init__(writer)
        self._reader = reader
        self._tls = SSL.Connection(context, None)
        self._tls.set_accept_state()

    async def handshake(self) -> None:
        """Raises OSError when the peer speaks no TLS or goes away."""
        while True:
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                await self._feed()
            except SSL.Error as error:
                self._flush()  # the alert that says why
                raise ConnectionError(f"TLS handshake: {error}") from error
            else:
                self._flush()
                return

    async def _feed(self) -> None:
        self._flush()
        data = await self._reader.read(CHUNK)
        if not data:
            raise ConnectionResetError("the peer is gone")
        self._tls.bio_write(data)

    def _flush(self) -> None:
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self._writer.write(self._tls.bio_read(CHUNK))

    async def read(self) -> bytes:
        while True:
            try:
                return self._tls.recv(CHUNK)
            except SSL.WantReadError:
                try:
                    await self._feed()
                except ConnectionResetError:
                    return b""
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as error:
                raise ConnectionError(f"TLS: {error}") from error

    def write(self, data: bytes) -> None:
        """A peer that broke the protocol loses the connection; whoever writes to it is not to blame."""
        try:
            self._tls.sendall(data)
        except SSL.Error:
            self.abort()
        else:
            self._flush()

    @property
    def certificates(self) -> list[x509.Certificate]:
        leaf = self._tls.get_peer_certificate(as_cryptography=True)
        chain = self._tls.get_peer_cert_chain(as_cryptography=True) or []
        return [] if leaf is None else [leaf, *(item for item in chain if item != leaf)]
