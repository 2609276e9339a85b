"""The MQTT side of the hub: TLS connections, sign-in, sessions, takeover, keepalive, end of the token's life."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL

from edge_expose_local.hub.device_api.links import Link, Links
from edge_expose_local.hub.device_api.messages import DeviceApi, allowed_filter, decode_filter
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.transport.channel import Channel, TlsChannel
from edge_expose_local.mqtt import codec

CONNECT_SECONDS = 10.0
HANDSHAKE_SECONDS = 10.0
MAX_KEEPALIVE = 1177
MAX_CONNECT_BYTES = 16 * 1024
MAX_PACKET_BYTES = 320 * 1024
REFUSED, UNAVAILABLE = 5, 3
log = logging.getLogger("edge_expose_local.hub.mqtt")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`expiry` is when the token ends, in Unix time; a certificate keeps a link open without end."""

    key: TwinKey
    expiry: int | None


def sign_in(hub: Hub, packet: codec.Connect, certificates: list[x509.Certificate]) -> SignedIn | str:
    """Who connects, or why it may not: client id and user name must agree, token or certificate must be its own.

    A user name may leave out the api-version (devices without an SDK do), with or without the `/?` before it.
    """
    host, _, rest = (packet.username or "").partition("/")
    ids = rest.partition("?")[0].strip("/").split("/")
    if hub.own_resource(host) != "":
        return "the user name is for another hub"
    if len(ids) not in (1, 2) or packet.client_id != "/".join(ids):
        return "client id and user name do not agree"
    key = TwinKey(*ids)
    if not packet.password and not certificates:
        return "neither a token nor a certificate was shown; over WebSocket this hub asks for no certificate"
    if not packet.password:
        problem = hub.certificate_problem(key, certificates)
        return problem or SignedIn(key, None)
    token = hub.identity_token(key, packet.password or "")
    return token if isinstance(token, str) else SignedIn(key, token.expiry)


class MqttServer:
    def __init__(self, hub: Hub, links: Links, devices: DeviceApi, tls: SSL.Context) -> None:
        self._hub = hub
        self._links = links
        self._devices = devices
        self._tls = tls
        self._channels: set[Channel] = set()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The callback for asyncio.start_server on a plain socket: TLS is made here."""
        channel = TlsChannel(reader, writer, self._tls)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await channel.handshake()
        except (OSError, TimeoutError):
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()  # the process is going down
        else:
            await self.serve(channel)

    async def serve(self, channel: Channel) -> None:
        """One connection from CONNECT to its end."""
        self._channels.add(channel)
        try:
            if not self._hub.faults.take("refuse-connections"):
                await self._serve(channel)
        except codec.MalformedPacketError as error:
            log.info("malformed packet: %s", error)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # the process is going down
        finally:
            self._channels.discard(channel)
            channel.abort()

    def close(self) -> None:
        for channel in list(self._channels):
            channel.abort()

    async def _serve(self, channel: Channel) -> None:
        decoder = codec.Decoder(MAX_CONNECT_BYTES)
        packets: list[codec.Packet] = []
        async with asyncio.timeout(CONNECT_SECONDS):
            while not packets:
                if not (data := await channel.read()):
                    return
                packets = decoder.feed(data)
        first = packets[0]
        if not isinstance(first, codec.Connect):
            return
        if self._hub.faults.take("connect-silent", device=first.client_id.partition("/")[0]):
            while await channel.read():
                pass  # until the peer gives up
            return
        link = await self._accept(first, channel)
        if link is None:
            return
        decoder.max_packet = MAX_PACKET_BYTES
        keepalive = min(first.keepalive or MAX_KEEPALIVE, MAX_KEEPALIVE)
        try:
            await self._listen(link, decoder, packets[1:], keepalive * 1.5)
        finally:
            self._gone(link)

    async def _accept(self, packet: codec.Connect, channel: Channel) -> Link | None:
        device, _, module = packet.client_id.partition("/")
        code = 0
        if fault := self._hub.faults.take("connack", device=device, module=module):
            code = int(fault.number("code", UNAVAILABLE))
        elif not self._hub.throttle.allow("Connection", self._hub.state.clock()):
            code = UNAVAILABLE
        who = sign_in(self._hub, packet, channel.certificates)
        if code == 0 and isinstance(who, str):
            log.info("refused %s: %s", packet.client_id[:200], who)
            code = REFUSED
        if code or isinstance(who, str):
            channel.write(codec.encode(codec.ConnAck(code)))
            await channel.drain()
            return None
        return self._join(who, packet.clean_session, channel)

    def _join(self, who: SignedIn, clean: bool, channel: Channel) -> Link:
        """Takes the identity over (only now: whoever cannot sign in cannot evict) and restores its session."""
        state, key = self._hub.state, who.key
        if (old := self._links.live.pop(key, None)) is not None:
            log.warning("%s was taken over by a new connection", key)
            old.close()
        if clean:
            self._links.forget(key)
            if state.sessions.pop(key, None) is not None:
                state.mark("session", key)
        present = key in state.sessions
        subscriptions = state.sessions.setdefault(key, {}) if not clean else {}
        link = Link(key, channel, subscriptions)
        self._links.live[key] = link
        state.connected.add(key)
        self._touch(key)
        if not present and not clean:
            state.mark("session", key)
        self._hub.commit()
        link.send(codec.ConnAck(0, present))
        self._links.resend(link)
        if who.expiry is not None:
            delay = max(0.0, who.expiry - state.clock())
            timer = asyncio.get_running_loop().call_later(min(delay, 86400.0 * 365), self._expired, link)
            link.expiry_timer = timer
        return link

    def _touch(self, key: TwinKey) -> None:
        if (identity := self._hub.state.identities.get(key)) is not None:
            identity.connection_updated = identity.last_activity = self._hub.state.now()

    def _expired(self, link: Link) -> None:
        if self._links.live.get(link.key) is link:
            log.info("the token of %s has expired; closing", link.key)
            link.close()

    def _gone(self, link: Link) -> None:
        if link.expiry_timer is not None:
            link.expiry_timer.cancel()
        if self._links.live.get(link.key) is link:
            del self._links.live[link.key]
            self._hub.state.connected.discard(link.key)
            self._touch(link.key)

    async def _listen(
        self,
        link: Link,
        decoder: codec.Decoder,
        packets: list[codec.Packet],
        seconds: float,
    ) -> None:
        while True:
            for packet in packets:
                if not self._handle(link, packet):
                    await asyncio.sleep(0)
                    return
            async with asyncio.timeout(seconds):
                await link.channel.drain()
                data = await link.channel.read()
            if not data:
                return
            packets = decoder.feed(data)

    def _handle(self, link: Link, packet: codec.Packet) -> bool:
        """One packet of a signed-in client; False ends the connection."""
        match packet:
            case codec.Publish():
                if packet.qos == 2:
                    log.info("%s published with QoS 2; closing", link.key)
                    return False
                if packet.qos == 1 and packet.packet_id is not None:
                    link.send(codec.PubAck(packet.packet_id))
                return self._devices.received(link, packet.topic, packet.payload)
            case codec.PubAck():
                self._links.acknowledged(link.key, packet.packet_id)
            case codec.Subscribe():
                self._subscribe(link, packet)
            case codec.Unsubscribe():
                for name in packet.filters:
                    link.subscriptions.pop(decode_filter(name), None)
                self._keep_session(link)
                link.send(codec.UnsubAck(packet.packet_id))
            case codec.PingReq():
                link.send(codec.PingResp())
            case _:
                return False
        return True

    def _subscribe(self, link: Link, packet: codec.Subscribe) -> None:
        facts = {"device": link.key.device, "module": link.key.module or ""}
        if self._hub.faults.take("suback-missing", **facts):
            return
        refuse = self._hub.faults.take("suback-refuse", **facts) is not None
        codes: list[int] = []
        for name, qos in packet.filters:
            topic_filter = decode_filter(name)
            if refuse or not allowed_filter(link.key, topic_filter):
                codes.append(0x80)
                continue
            codes.append(min(qos, 1))
            link.subscriptions[topic_filter] = min(qos, 1)
        self._keep_session(link)
        link.send(codec.SubAck(packet.packet_id, tuple(codes)))

    def _keep_session(self, link: Link) -> None:
        if self._hub.state.sessions.get(link.key) is link.subscriptions:
            self._hub.state.mark("session", link.key)
            self._hub.commit()
