"""MQTT 3.1.1 packets as values, and their wire form. Pure: bytes in, packets out, no sockets.

QoS 2 is left out on purpose (IoT Hub closes the link on it): a PUBLISH with QoS 2 is decoded so that the reader can
say why it hangs up, the QoS 2 acknowledgements are refused as unsupported.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAX_REMAINING_LENGTH = 268_435_455


class MalformedPacketError(ValueError):
    """The peer sent bytes that are no MQTT 3.1.1 packet, or one that is larger than allowed."""


@dataclass(frozen=True, slots=True)
class Connect:
    client_id: str
    username: str | None = None
    password: str | None = None
    keepalive: int = 60
    clean_session: bool = False


@dataclass(frozen=True, slots=True)
class ConnAck:
    """`code` 0 is accepted; 3 server unavailable; 4 and 5 are refusals of the credentials."""

    code: int
    session_present: bool = False


@dataclass(frozen=True, slots=True)
class Publish:
    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int | None = None
    dup: bool = False
    retain: bool = False


@dataclass(frozen=True, slots=True)
class PubAck:
    packet_id: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SubAck:
    """One code per filter: the granted QoS, or 0x80 for a refusal."""

    packet_id: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnsubAck:
    packet_id: int


@dataclass(frozen=True, slots=True)
class PingReq:
    pass


@dataclass(frozen=True, slots=True)
class PingResp:
    pass


@dataclass(frozen=True, slots=True)
class Disconnect:
    pass


Packet = (
    Connect | ConnAck | Publish | PubAck | Subscribe | SubAck | Unsubscribe | UnsubAck | PingReq | PingResp | Disconnect
)


def _text(value: str) -> bytes:
    raw = value.encode()
    if len(raw) > 0xFFFF:
        raise ValueError(f"a string of {len(raw)} bytes does not fit into an MQTT packet")
    return struct.pack("!H", len(raw)) + raw


def _frame(first: int, body: bytes) -> bytes:
    length = len(body)
    if length > MAX_REMAINING_LENGTH:
        raise ValueError(f"a packet of {length} bytes is too large for MQTT")
    head = bytearray([first])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def encode(packet: Packet) -> bytes:
    """The wire form of one packet. Raises ValueError when a string or the packet is too long."""
    match packet:
        case Connect():
            flags = 0x02 if packet.clean_session else 0
            body = _text(packet.client_id)
            if packet.username is not None:
                flags |= 0x80
                body += _text(packet.username)
            if packet.password is not None:
                flags |= 0x40
                body += _text(packet.password)
            return _frame(0x10, _text("MQTT") + struct.pack("!BBH", 4, flags, packet.keepalive) + body)
        case ConnAck():
            return _frame(0x20, bytes([1 if packet.session_present else 0, packet.code]))
        case Publish():
            first = 0x30 | (8 if packet.dup else 0) | (packet.qos << 1) | (1 if packet.retain else 0)
            packet_id = b"" if packet.qos == 0 else struct.pack("!H", packet.packet_id or 0)
            return _frame(first, _text(packet.topic) + packet_id + packet.payload)
        case PubAck():
            return _frame(0x40, struct.pack("!H", packet.packet_id))
        case Subscribe():
            body = b"".join(_text(name) + bytes([qos]) for name, qos in packet.filters)
            return _frame(0x82, struct.pack("!H", packet.packet_id) + body)
        case SubAck():
            return _frame(0x90, struct.pack("!H", packet.packet_id) + bytes(packet.codes))
        case Unsubscribe():
            return _frame(0xA2, struct.pack("!H", packet.packet_id) + b"".join(_text(name) for name in packet.filters))
        case UnsubAck():
            return _frame(0xB0, struct.pack("!H", packet.packet_id))
        case PingReq():
            return b"\xc0\x00"
        case PingResp():
            return b"\xd0\x00"
        case Disconnect():
            return b"\xe0\x00"


class _Reader:
    """Walks over the body of one packet; every shortage is a MalformedPacketError."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._body):
            raise MalformedPacketError("the packet ends in the middle of a field")
        self._at += count
        return self._body[self._at - count : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        value = self.number()
        if value == 0:
            raise MalformedPacketError("packet identifier 0 is not allowed")
        return value

    def text(self) -> str:
        try:
            value = self.take(self.number()).decode()
        except UnicodeDecodeError as error:
            raise MalformedPacketError("a string is not UTF-8") from error
        if "\x00" in value:
            raise MalformedPacketError("a string holds U+0000")
        return value

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    @property
    def more(self) -> bool:
        return self._at < len(self._body)

    def end(self) -> None:
        if self.more:
            raise MalformedPacketError("bytes are left over at the end of the packet")


def _decode_connect(read: _Reader) -> Connect:
    if read.text() != "MQTT":
        raise MalformedPacketError("the protocol name is not MQTT")
    if (level := read.byte()) != 4:
        raise MalformedPacketError(f"protocol level {level} is not MQTT 3.1.1")
    flags = read.byte()
    if flags & 1:
        raise MalformedPacketError("the reserved CONNECT flag is set")
    keepalive = read.number()
    client_id = read.text()
    if flags & 0x04:  # a will: read over it, IoT Hub knows will messages but nothing here needs one
        read.text()
        read.take(read.number())
    username = read.text() if flags & 0x80 else None
    password = read.text() if flags & 0x40 else None
    return Connect(client_id, username, password, keepalive, bool(flags & 0x02))


def _decode_publish(read: _Reader, flags: int) -> Publish:
    qos = (flags >> 1) & 3
    if qos == 3:
        raise MalformedPacketError("QoS 3 does not exist")
    topic = read.text()
    if not topic or "#" in topic or "+" in topic:
        raise MalformedPacketError("a PUBLISH needs a topic without wildcards")
    packet_id = read.packet_id() if qos else None
    return Publish(topic, read.rest(), qos, packet_id, bool(flags & 8), bool(flags & 1))


def _decode_subscribe(read: _Reader) -> Subscribe:
    packet_id = read.packet_id()
    filters: list[tuple[str, int]] = []
    while read.more:
        name, qos = read.text(), read.byte()
        if qos > 2 or not name:
            raise MalformedPacketError("a SUBSCRIBE entry has no filter or an unknown QoS")
        filters.append((name, qos))
    if not filters:
        raise MalformedPacketError("a SUBSCRIBE without filters")
    return Subscribe(packet_id, tuple(filters))


def _decode_unsubscribe(read: _Reader) -> Unsubscribe:
    packet_id = read.packet_id()
    filters: list[str] = []
    while read.more:
        filters.append(read.text())
    if not filters:
        raise MalformedPacketError("an UNSUBSCRIBE without filters")
    return Unsubscribe(packet_id, tuple(filters))


# The low four bits of the first byte that MQTT prescribes per packet type; PUBLISH (3) uses them itself.
_FLAGS = {1: 0, 2: 0, 4: 0, 8: 2, 9: 0, 10: 2, 11: 0, 12: 0, 13: 0, 14: 0}


def decode_body(first: int, body: bytes) -> Packet:
    """One packet from its first byte and its body. Raises MalformedPacketError."""
    kind, flags, read = first >> 4, first & 0x0F, _Reader(body)
    if kind in (5, 6, 7):
        raise MalformedPacketError("QoS 2 is not supported")
    if kind != 3 and _FLAGS.get(kind) != flags:
        raise MalformedPacketError(f"packet type {kind} with flags {flags} does not exist")
    packet: Packet
    match kind:
        case 1:
            packet = _decode_connect(read)
        case 2:
            present, code = read.byte(), read.byte()
            packet = ConnAck(code, bool(present & 1))
        case 3:
            packet = _decode_publish(read, flags)
        case 4:
            packet = PubAck(read.packet_id())
        case 8:
            packet = _decode_subscribe(read)
        case 9:
            packet = SubAck(read.packet_id(), tuple(read.rest()))
        case 10:
            packet = _decode_unsubscribe(read)
        case 11:
            packet = UnsubAck(read.packet_id())
        case 12:
            packet = PingReq()
        case 13:
            packet = PingResp()
        case _:
            packet = Disconnect()
    read.end()
    return packet


class Decoder:
    """Collects bytes as they come and hands out whole packets.

    `max_packet` bounds the body of a packet in bytes and may be raised later (a server keeps it small until the peer
    has proved who it is). After a MalformedPacketError the decoder is of no further use.
    """

    def __init__(self, max_packet: int = MAX_REMAINING_LENGTH) -> None:
        self.max_packet = max_packet
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """Takes the next bytes, returns the packets that are complete now. Raises MalformedPacketError."""
        self._buffer += data
        packets: list[Packet] = []
        while (packet := self._next()) is not None:
            packets.append(packet)
        return packets

    def _next(self) -> Packet | None:
        length, shift, at = 0, 0, 1
        while True:
            if at >= len(self._buffer):
                return None
            digit = self._buffer[at]
            length |= (digit & 0x7F) << shift
            at += 1
            if not digit & 0x80:
                break
            shift += 7
            if shift > 21:
                raise MalformedPacketError("the length field is longer than four bytes")
        if length > self.max_packet:
            raise MalformedPacketError(f"a packet of {length} bytes is larger than the limit of {self.max_packet}")
        if len(self._buffer) < at + length:
            return None
        first, body = self._buffer[0], bytes(self._buffer[at : at + length])
        del self._buffer[: at + length]
        return decode_body(first, body)
