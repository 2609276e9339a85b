"""DNS messages: just enough of RFC 1035 to answer A, AAAA and SRV questions. Pure."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

A, AAAA, SRV, ANY, SOA = 1, 28, 33, 255, 6
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
TTL = 5


@dataclass(frozen=True, slots=True)
class Question:
    """One question; `name` is in lower case without the last dot."""

    ident: int
    flags: int
    name: str
    type: int
    klass: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """One answer record with ready-made data."""

    name: str
    type: int
    data: bytes


class Malformed(ValueError):
    """Not a DNS query."""


def encode_name(name: str) -> bytes:
    """Encode a name without compression."""
    labels = [label.encode("ascii", "replace") for label in name.strip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def parse(message: bytes) -> Question:
    """Read a query with one question; raises Malformed."""
    if len(message) < 12:
        raise Malformed("too short")
    ident, flags, questions = struct.unpack("!HHH", message[:6])
    if flags & 0x8000 or questions != 1:
        raise Malformed("no single query")
    labels: list[str] = []
    at = 12
    while True:
        if at >= len(message):
            raise Malformed("name runs out")
        size = message[at]
        at += 1
        if size == 0:
            break
        if size > 63 or at + size > len(message) or len(labels) > 127:
            raise Malformed("bad label")
        labels.append(message[at : at + size].decode("ascii", "replace"))
        at += size
    if at + 4 > len(message):
        raise Malformed("question runs out")
    kind, klass = struct.unpack("!HH", message[at : at + 4])
    return Question(ident, flags, ".".join(labels).lower(), kind, klass, message[12 : at + 4])


def a_record(name: str, ip: str) -> Record:
    """Return an A record."""
    return Record(name, A, ipaddress.IPv4Address(ip).packed)


def srv_record(name: str, port: int, target: str) -> Record:
    """Return an SRV record with priority 0 and weight 100."""
    return Record(name, SRV, struct.pack("!HHH", 0, 100, port) + encode_name(target))


def _soa(zone: str) -> bytes:
    data = (
        encode_name(f"ns.dns.{zone}")
        + encode_name(f"hostmaster.{zone}")
        + struct.pack("!IIIII", 1, 7200, 1800, 86400, TTL)
    )
    return encode_name(zone) + struct.pack("!HHIH", SOA, 1, TTL, len(data)) + data


def reply(question: Question, code: int, answers: list[Record], extra: list[Record], zone: str, limit: int) -> bytes:
    """Encode an answer; what does not fit into `limit` bytes is cut and TC set. Negative answers carry the SOA."""
    body = question.raw
    count = 0
    truncated = False
    for record in answers:
        coded = encode_name(record.name) + struct.pack("!HHIH", record.type, 1, TTL, len(record.data)) + record.data
        if 12 + len(body) + len(coded) > limit:
            truncated = True
            break
        body += coded
        count += 1
    authority = 0
    if not answers and code in (NOERROR, NXDOMAIN):
        body += _soa(zone)
        authority = 1
    additional = 0
    for record in extra if not truncated else []:
        coded = encode_name(record.name) + struct.pack("!HHIH", record.type, 1, TTL, len(record.data)) + record.data
        if 12 + len(body) + len(coded) <= limit:
            body += coded
            additional += 1
    flags = 0x8000 | 0x0400 | (question.flags & 0x0100) | (0x0200 if truncated else 0) | code
    return struct.pack("!HHHHHH", question.ident, flags, 1, count, authority, additional) + body


def format_error(message: bytes) -> bytes:
    """Answer something that is no query."""
    ident = message[:2] if len(message) >= 2 else b"\0\0"
    return ident + struct.pack("!HHHHH", 0x8000 | FORMERR, 0, 0, 0, 0)
