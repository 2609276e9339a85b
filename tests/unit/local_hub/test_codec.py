"""The MQTT codec: every packet survives the wire, however it is cut; nothing malformed gets through or raises oddly."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_local.mqtt import codec

PACKETS: dict[str, codec.Packet] = {
    "a CONNECT with credentials": codec.Connect("edge1/m1", "hub/edge1/m1/?api-version=1", "SharedAccessSignature x"),
    "a CONNECT without credentials and a clean session": codec.Connect("d", None, None, 0, True),
    "a CONNACK that says a session is present": codec.ConnAck(0, True),
    "a refusal": codec.ConnAck(5),
    "a QoS 0 message with an empty payload": codec.Publish("a/b", b""),
    "a QoS 1 message sent again": codec.Publish("a/ü", b"\x00\xff" * 300, 1, 65535, True),
    "an acknowledgement": codec.PubAck(1),
    "a SUBSCRIBE with two filters": codec.Subscribe(2, (("a/#", 1), ("b/+", 0))),
    "a SUBACK with a refusal": codec.SubAck(2, (1, 0x80)),
    "an UNSUBSCRIBE": codec.Unsubscribe(3, ("a/#",)),
    "an UNSUBACK": codec.UnsubAck(3),
    "a ping": codec.PingReq(),
    "a pong": codec.PingResp(),
    "a goodbye": codec.Disconnect(),
}


@pytest.mark.parametrize("packet", PACKETS.values(), ids=PACKETS.keys())
def test_packet_comes_back_as_it_was_sent(packet: codec.Packet) -> None:
    assert codec.Decoder().feed(codec.encode(packet)) == [packet]


@given(st.integers(1, 40))
def test_packets_come_out_whole_however_the_stream_is_cut(step: int) -> None:
    stream = b"".join(codec.encode(packet) for packet in PACKETS.values())
    decoder, found = codec.Decoder(), []
    for at in range(0, len(stream), step):
        found += decoder.feed(stream[at : at + step])
    assert found == list(PACKETS.values())


MALFORMED = {
    "a length field of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "a reserved packet type": b"\x00\x00",
    "packet type fifteen": b"\xf0\x00",
    "QoS 3": b"\x36\x05\x00\x01a\x00\x01",
    "a message for a topic with a wildcard": b"\x30\x03\x00\x01#",
    "a message without a topic": b"\x30\x02\x00\x00",
    "packet identifier zero": b"\x32\x05\x00\x01a\x00\x00",
    "a string that ends early": b"\x30\x02\x00\x09",
    "a topic that is not UTF-8": b"\x30\x03\x00\x01\xff",
    "a SUBSCRIBE without filters": b"\x82\x02\x00\x01",
    "a SUBSCRIBE with the wrong flags": b"\x80\x06\x00\x01\x00\x01a\x01",
    "an older protocol": b"\x10\x0e\x00\x06MQIsdp\x03\x00\x00\x00\x00\x00",
    "QoS 2 acknowledgements": b"\x50\x02\x00\x01",
    "bytes after the end": b"\xc0\x01\x00",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303"),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(codec.MalformedPacketError):
        codec.Decoder(1000).feed(data + b"\x00" * 300)


def test_packet_above_the_limit_is_refused_before_its_body_arrives() -> None:
    decoder = codec.Decoder(max_packet=100)
    with pytest.raises(codec.MalformedPacketError, match="larger than the limit of 100"):
        decoder.feed(codec.encode(codec.Publish("a", b"x" * 200))[:5])


@given(st.binary(max_size=200))
def test_any_bytes_give_packets_or_the_one_error(data: bytes) -> None:
    with contextlib.suppress(codec.MalformedPacketError):
        codec.Decoder(1000).feed(data)
