"""Port syntax: `[published:]target[/protocol]`, ranges, and objects, expanded to one mapping a port."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge_expose_contract.names import check_port_name
from edge_expose_contract.violations import RuleError, shown

_HINT: Final = 'write "[published:]target[/protocol]", such as "8080:80/tcp", "5432" or "5000-5010:5000-5010/udp"'
_NUMBERS = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")
# A LoadBalancer Service takes a node port for each port; the usual range holds 2768 of them.
MAX_PORTS: Final = 1000


class Protocol(StrEnum):
    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


@dataclass(frozen=True, slots=True, order=True)
class PortMapping:
    """One published port: clients use `port`, the pod listens on `target` (a number or a named container port)."""

    port: int
    target: int | str
    protocol: Protocol
    name: str
    app_protocol: str | None = None

    def __str__(self) -> str:
        return f"{self.port}:{self.target}/{self.protocol.lower()}"


def default_port_name(port: int, protocol: Protocol) -> str:
    return f"{protocol.lower()}-{port}"


def parse_protocol(text: str) -> Protocol:
    try:
        return Protocol(text.strip().upper())
    except ValueError:
        raise RuleError("InvalidProtocol", f"{shown(text)} is not a protocol", "tcp, udp or sctp") from None


def check_port_number(number: int, what: str = "port") -> int:
    if isinstance(number, bool) or not 1 <= number <= 65535:
        raise RuleError("InvalidPort", f"{what} {number} is not between 1 and 65535", _HINT)
    return number


def parse_port(text: str | int) -> list[PortMapping]:
    """One entry of `ports` in its short form, as one mapping for each port. Raises RuleError."""
    if isinstance(text, int):
        number = check_port_number(text)
        return [PortMapping(number, number, Protocol.TCP, default_port_name(number, Protocol.TCP))]
    body, slash, protocol_text = text.strip().partition("/")
    protocol = parse_protocol(protocol_text) if slash else Protocol.TCP
    published_text, colon, target_text = body.partition(":")
    if not colon:
        published = target = _numbers(text, published_text)
        pairs: Iterable[tuple[int, int | str]] = zip(published, target, strict=True)
    elif _NUMBERS.fullmatch(target_text.strip()):
        published, target = _numbers(text, published_text), _numbers(text, target_text)
        if len(published) != len(target):
            raise RuleError(
                "UnequalPortRanges",
                f"{shown(text)} publishes {len(published)} ports to {len(target)}",
                "give both ranges the same length",
            )
        pairs = zip(published, target, strict=True)
    else:
        published = _numbers(text, published_text)
        if len(published) != 1:
            raise RuleError("InvalidPort", f"{shown(text)} sends a range to one named port", "name ports one by one")
        pairs = [(published[0], check_port_name(target_text.strip()))]
    return [PortMapping(port, goal, protocol, default_port_name(port, protocol)) for port, goal in pairs]


def _numbers(whole: str, text: str) -> Sequence[int]:
    match = _NUMBERS.fullmatch(text.strip())
    if match is None:
        raise RuleError("InvalidPort", f"{shown(whole)} is not a port", _HINT)
    first = check_port_number(int(match[1]))
    last = check_port_number(int(match[2])) if match[2] else first
    if last < first:
        raise RuleError("ReversedPorts", f"port range {first}-{last} is reversed", f"write {last}-{first}")
    if last - first >= MAX_PORTS:
        raise RuleError(
            "TooManyPorts", f"{shown(whole)} is more than {MAX_PORTS} ports", "a Service takes a node port for each"
        )
    return range(first, last + 1)


def check_unique(mappings: Sequence[PortMapping]) -> None:
    """Within one exposure a protocol and port, and a port name, stand once. Raises RuleError."""
    seen: set[tuple[Protocol, int]] = set()
    names: set[str] = set()
    for mapping in mappings:
        if (mapping.protocol, mapping.port) in seen:
            raise RuleError(
                "DuplicatePort",
                f"port {mapping.port}/{mapping.protocol.lower()} is published twice",
                "publish each port once",
            )
        if mapping.name in names:
            raise RuleError(
                "DuplicatePortName", f"port name {shown(mapping.name)} is used twice", "give each port its own name"
            )
        seen.add((mapping.protocol, mapping.port))
        names.add(mapping.name)
    if len(mappings) > MAX_PORTS:
        raise RuleError("TooManyPorts", f"{len(mappings)} ports are more than {MAX_PORTS}", "split the exposure")
