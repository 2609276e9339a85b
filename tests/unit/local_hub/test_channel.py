"""The TLS of the MQTT port on its own: peers that speak no TLS, go away in the middle, or break the protocol later."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge_expose_local.hub.access.certs import device_context, server_context
from edge_expose_local.hub.transport.channel import TlsChannel
from support.certificates import certify
from support.waiting import PATIENCE

Peer = Callable[[str, int], Awaitable[None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tls")
    server_context(made, ["localhost", "127.0.0.1"])
    return made


def meet(folder: Path, peer: Peer, talk: Callable[[TlsChannel], Awaitable[None]]) -> None:
    """Lets `peer` connect and `talk` have the channel; what either raises is raised here."""

    async def run() -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            channel = TlsChannel(reader, writer, device_context(folder))
            try:
                await talk(channel)
                done.set_result(None)
            except BaseException as error:
                done.set_exception(error)
            finally:
                writer.close()

        listening = await asyncio.start_server(accept, "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()[:2]
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(peer(host, port), done)
        listening.close()

    asyncio.run(run())


def client(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "ca.pem"))


async def handshake(channel: TlsChannel) -> None:
    await channel.handshake()


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n" * 20, b"\x16\x03\x01\x00", b""], ids=["text", "half", "none"]
)
def test_a_peer_without_tls_fails_the_handshake(folder: Path, data: bytes) -> None:
    async def peer(host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.write(data)
        writer.close()

    with pytest.raises(ConnectionError):
        meet(folder, peer, handshake)


def test_a_peer_that_does_not_trust_the_hub_fails_the_handshake(folder: Path) -> None:
    async def peer(host: str, port: int) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection(host, port, ssl=ssl.create_default_context())

    with pytest.raises(ConnectionError):
        meet(folder, peer, handshake)


def test_large_data_both_ways_and_the_end_of_it(folder: Path, tmp_path: Path) -> None:
    own = certify("device")
    certificate, key = own.write(tmp_path)
    context = client(folder)
    context.load_cert_chain(certificate, key)
    large = bytes(range(256)) * 4096

    async def peer(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        writer.write(large)
        assert await reader.readexactly(len(large)) == large
        writer.close()

    async def talk(channel: TlsChannel) -> None:
        await channel.handshake()
        assert channel.certificates == [own.certificate]
        got = b""
        while len(got) < len(large):
            got += await channel.read()
        assert got == large
        channel.write(got)
        await channel.drain()
        assert await channel.read() == b""

    meet(folder, peer, talk)


def test_writing_to_a_peer_that_broke_the_protocol_ends_the_connection_and_raises_nothing(folder: Path) -> None:
    async def peer(host: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        await reader.read()
        writer.close()

    async def talk(channel: TlsChannel) -> None:
        channel.write(b"too early: there was no handshake")
        assert channel.closing

    meet(folder, peer, talk)
