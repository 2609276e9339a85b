"""The live MQTT connections, one per identity, and what can be sent through one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.transport.channel import Channel
from edge_expose_local.mqtt import codec

MAX_WAITING_BYTES = 4 * 1024 * 1024
MAX_IN_FLIGHT = 100


@dataclass(slots=True)
class Link:
    """One authenticated connection. `subscriptions` is the stored session's own table, filter -> granted QoS."""

    key: TwinKey
    channel: Channel
    subscriptions: dict[str, int]
    expiry_timer: asyncio.TimerHandle | None = None

    def send(self, packet: codec.Packet) -> None:
        """Queues one packet; a peer that does not read its data loses the link instead of filling memory."""
        if self.channel.closing:
            return
        if self.channel.waiting > MAX_WAITING_BYTES:
            self.close()
            return
        self.channel.write(codec.encode(packet))

    def close(self) -> None:
        self.channel.abort()


@dataclass(slots=True)
class Links:
    """All live links, and the QoS 1 messages that a session still has to acknowledge."""

    live: dict[TwinKey, Link] = field(default_factory=dict)
    _in_flight: dict[TwinKey, dict[int, codec.Publish]] = field(default_factory=dict)
    _next_id: int = 0

    def subscribed(self, key: TwinKey, topic_filter: str) -> Link | None:
        """The link of this identity if it is there and has the filter."""
        link = self.live.get(key)
        return link if link is not None and topic_filter in link.subscriptions else None

    def send_once_acknowledged(self, key: TwinKey, topic: str, payload: bytes) -> bool:
        """QoS 1: kept until the peer acknowledges it, sent again when it comes back. False when too many wait."""
        waiting = self._in_flight.setdefault(key, {})
        if len(waiting) >= MAX_IN_FLIGHT:
            return False
        self._next_id = self._next_id % 0xFFFF + 1
        packet = codec.Publish(topic, payload, 1, self._next_id)
        waiting[self._next_id] = packet
        if (link := self.live.get(key)) is not None:
            link.send(packet)
        return True

    def acknowledged(self, key: TwinKey, packet_id: int) -> None:
        self._in_flight.get(key, {}).pop(packet_id, None)

    def resend(self, link: Link) -> None:
        for packet in self._in_flight.get(link.key, {}).values():
            link.send(codec.Publish(packet.topic, packet.payload, 1, packet.packet_id, dup=True))

    def forget(self, key: TwinKey) -> None:
        self._in_flight.pop(key, None)

    def close(self, device: str | None = None, module: str | None = None) -> int:
        """Cuts all links, or those that fit; returns how many."""
        chosen = [
            link
            for link in self.live.values()
            if device in (None, link.key.device) and module in (None, link.key.module)
        ]
        for link in chosen:
            link.close()
        return len(chosen)
