"""The cluster's name server: Services by name, over UDP and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import cast

from ...sockets import tcp_socket
from ..controllers.endpoints import SERVICE_LABEL, SLICES
from ..kinds.errors import Document
from ..kinds.names import parse_ip
from ..store.store import Store
from . import dns_codec as dns

ZONE = "cluster.local"


class Names:
    """Answers questions from the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def answer(self, message: bytes, limit: int) -> bytes:
        """Return the answer to one message."""
        try:
            question = dns.parse(message)
        except dns.Malformed:
            return dns.format_error(message)
        if question.flags & 0x7800:
            return dns.reply(question, dns.NOTIMP, [], [], ZONE, limit)
        if not (question.name == ZONE or question.name.endswith("." + ZONE)) or question.klass != 1:
            return dns.reply(question, dns.REFUSED, [], [], ZONE, limit)
        found = self._lookup(question)
        if found is None:
            return dns.reply(question, dns.NXDOMAIN, [], [], ZONE, limit)
        records, extra = found
        return dns.reply(question, dns.NOERROR, records, extra, ZONE, limit)

    def _lookup(self, question: dns.Question) -> tuple[list[dns.Record], list[dns.Record]] | None:
        labels = question.name.removesuffix(ZONE).strip(".").split(".")
        if labels in ([""], ["svc"]):
            return [], []
        if len(labels) < 2 or labels[-1] != "svc":
            return None
        labels = labels[:-1]
        namespace = labels[-1]
        if len(labels) == 1:
            return ([], []) if self._store.get("namespaces", "", namespace) else None
        service = self._store.get("services", namespace, labels[-2])
        if service is None or service["spec"].get("type") == "ExternalName":
            return None
        rest = labels[:-2]
        match rest:
            case []:
                ips = self._ips(service)
                if question.type in (dns.A, dns.ANY):
                    return [dns.a_record(question.name, ip) for ip in ips], []
                if question.type == dns.SRV:
                    return self._srv(question.name, service, "", "")
                return [], []
            case [port, protocol] if port.startswith("_") and protocol.startswith("_"):
                found = self._srv(question.name, service, port[1:], protocol[1:])
                if not found[0]:
                    return None
                return found if question.type in (dns.SRV, dns.ANY) else ([], [])
            case [dashed]:
                ips = [ip for ip in self._ips(service) if ip.replace(".", "-") == dashed]
                if not ips or service["spec"].get("clusterIP") != "None":
                    return None
                return ([dns.a_record(question.name, ips[0])] if question.type in (dns.A, dns.ANY) else []), []
        return None

    def _srv(
        self, name: str, service: Document, port_name: str, protocol: str
    ) -> tuple[list[dns.Record], list[dns.Record]]:
        meta = service["metadata"]
        target = f"{meta['name']}.{meta['namespace']}.svc.{ZONE}"
        ports = [
            p
            for p in service["spec"].get("ports") or []
            if p.get("name")
            and (not port_name or (p["name"] == port_name and p.get("protocol", "TCP").lower() == protocol))
        ]
        ips = self._ips(service)
        if service["spec"].get("clusterIP") != "None":
            return [dns.srv_record(name, p["port"], target) for p in ports], [dns.a_record(target, ip) for ip in ips]
        hosts = {f"{ip.replace('.', '-')}.{target}": ip for ip in ips}
        numbers = [int(p.get("targetPort")) if isinstance(p.get("targetPort"), int) else p["port"] for p in ports]
        answers = [dns.srv_record(name, number, host) for number in numbers for host in hosts]
        return answers, [dns.a_record(host, ip) for host, ip in hosts.items()]

    def _ips(self, service: Document) -> list[str]:
        spec, meta = service["spec"], service["metadata"]
        if spec.get("clusterIP") != "None":
            return [ip for ip in spec.get("clusterIPs") or [] if ":" not in ip]
        found: list[str] = []
        for piece in self._store.all(SLICES, meta["namespace"]):
            if (piece["metadata"].get("labels") or {}).get(SERVICE_LABEL) != meta["name"]:
                continue
            for endpoint in piece.get("endpoints") or []:
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    found += [ip for ip in endpoint.get("addresses") or [] if (a := parse_ip(ip)) and a.version == 4]
        return list(dict.fromkeys(found))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(self._names.answer(data, 1232 if len(data) > 12 and data[11] else 512), addr)


class DnsServer:
    """Both listeners of the name server on one port."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._tcp: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None

    async def start(self, address: str, port: int) -> int:
        """Listen and return the port (0 picks one that is free for both)."""
        loop = asyncio.get_running_loop()
        for attempt in range(20):
            sock = tcp_socket(address, port)
            chosen = int(sock.getsockname()[1])
            try:
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                udp.bind((address, chosen))
            except OSError:
                sock.close()
                udp.close()
                if port or attempt == 19:
                    raise
                continue
            udp.setblocking(False)
            self._tcp = await asyncio.start_server(self._connected, sock=sock)
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self._names), sock=udp)
            return chosen
        raise OSError("no port is free for the name server")

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            while True:
                async with asyncio.timeout(20):
                    (size,) = struct.unpack("!H", await reader.readexactly(2))
                    message = await reader.readexactly(size)
                answer = self._names.answer(message, 65535)
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        writer.close()

    def close(self) -> None:
        """Stop listening."""
        if self._tcp is not None:
            self._tcp.close()
        if self._udp is not None:
            self._udp.close()
