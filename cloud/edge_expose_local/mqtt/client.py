"""A small MQTT 3.1.1 client on asyncio: connect, subscribe, publish with QoS 0 or 1, ping.

Reconnecting is the caller's.

Used by parts of the stand-in that speak to the local hub as a device would.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence

from edge_expose_local.mqtt import codec
from edge_expose_local.mqtt.codec import Packet


class MqttError(Exception):
    """The link is gone, was refused, or the peer did not answer in time."""


class ConnectRefusedError(MqttError):
    """The server answered CONNECT with a code other than 0."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the server refused the connection with code {code}")
        self.code = code


class MqttClient:
    """One connection. `on_message(topic, payload)` is called on the event loop for every PUBLISH that comes in.

    After `connect` the client lives until `disconnect` or until the link breaks; `await closed()` waits for that.
    A new connection needs a new object.
    """

    def __init__(self, connect: codec.Connect, on_message: Callable[[str, bytes], None], timeout: float = 10.0) -> None:
        self._connect = connect
        self._on_message = on_message
        self._timeout = timeout
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[tuple[type[Packet], int], asyncio.Future[Packet]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._closed: asyncio.Future[None] | None = None
        self._pong = asyncio.Event()
        self._next_id = 0

    async def connect(self, host: str, port: int, tls: ssl.SSLContext, server_name: str | None = None) -> bool:
        """Opens the link and signs in; returns whether the server kept a session. Raises MqttError."""
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=server_name or host)
        except (OSError, TimeoutError) as error:
            raise MqttError(f"no connection to {host}:{port}: {error}") from error
        decoder = codec.Decoder()
        try:
            async with asyncio.timeout(self._timeout):
                writer.write(codec.encode(self._connect))
                packets: list[Packet] = []
                while not packets:
                    packets = decoder.feed(await self._read(reader))
        except (OSError, TimeoutError, codec.MalformedPacketError) as error:
            writer.close()
            raise MqttError(f"no answer to CONNECT: {error}") from error
        answer = packets[0]
        if not isinstance(answer, codec.ConnAck) or answer.code != 0:
            writer.close()
            if isinstance(answer, codec.ConnAck):
                raise ConnectRefusedError(answer.code)
            raise MqttError("the server answered CONNECT with another packet")
        self._writer = writer
        self._closed = asyncio.get_running_loop().create_future()
        self._tasks = [asyncio.create_task(self._receive(reader, decoder, packets[1:]))]
        if self._connect.keepalive:
            self._tasks.append(asyncio.create_task(self._keep_alive()))
        return answer.session_present

    @property
    def connected(self) -> bool:
        return self._closed is not None and not self._closed.done()

    async def closed(self) -> None:
        """Returns once the link is gone, for whatever reason."""
        if self._closed is not None:
            await asyncio.shield(self._closed)

    async def subscribe(self, filters: Sequence[str], qos: int = 1) -> list[int]:
        """The granted codes in order, 0x80 for a refused filter. Raises MqttError."""
        packet_id = self._new_id()
        answer = await self._ask(
            codec.Subscribe(packet_id, tuple((name, qos) for name in filters)), codec.SubAck, packet_id
        )
        assert isinstance(answer, codec.SubAck)
        return list(answer.codes)

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Sends one message; with QoS 1 returns when the server has acknowledged it. Raises MqttError."""
        if qos == 0:
            self._send(codec.Publish(topic, payload))
            return
        packet_id = self._new_id()
        await self._ask(codec.Publish(topic, payload, 1, packet_id), codec.PubAck, packet_id)

    async def disconnect(self) -> None:
        """Says goodbye and closes; harmless when the link is gone already."""
        if self.connected:
            self._send(codec.Disconnect())
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._finish()

    def _new_id(self) -> int:
        self._next_id = self._next_id % 0xFFFF + 1
        return self._next_id

    def _send(self, packet: Packet) -> None:
        if self._writer is None or not self.connected:
            raise MqttError("not connected")
        self._writer.write(codec.encode(packet))

    async def _ask(self, packet: Packet, answer: type[Packet], packet_id: int) -> Packet:
        future: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()
        self._waiting[answer, packet_id] = future
        try:
            self._send(packet)
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError as error:
            raise MqttError(f"no {answer.__name__} within {self._timeout:g} s") from error
        finally:
            self._waiting.pop((answer, packet_id), None)

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> bytes:
        data = await reader.read(65536)
        if not data:
            raise ConnectionResetError("the server closed the link")
        return data

    async def _receive(self, reader: asyncio.StreamReader, decoder: codec.Decoder, packets: list[Packet]) -> None:
        with contextlib.suppress(OSError, codec.MalformedPacketError, MqttError):
            while True:
                for packet in packets:
                    self._handle(packet)
                packets = decoder.feed(await self._read(reader))
        self._finish()

    def _handle(self, packet: Packet) -> None:
        match packet:
            case codec.Publish():
                self._on_message(packet.topic, packet.payload)
                if packet.qos == 1 and packet.packet_id is not None:
                    self._send(codec.PubAck(packet.packet_id))
            case codec.PubAck() | codec.SubAck():
                future = self._waiting.get((type(packet), packet.packet_id))
                if future is not None and not future.done():
                    future.set_result(packet)
            case codec.PingResp():
                self._pong.set()
            case _:
                pass

    async def _keep_alive(self) -> None:
        with contextlib.suppress(MqttError, TimeoutError):
            while True:
                await asyncio.sleep(self._connect.keepalive / 2)
                self._pong.clear()
                self._send(codec.PingReq())
                async with asyncio.timeout(self._timeout):
                    await self._pong.wait()
        self._finish()

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(MqttError("the link broke"))
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)
