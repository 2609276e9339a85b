"""Port syntax: `[published:]target[/protocol]`, ranges, and objects, expanded to one mapping a port."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge_expose_contract.names import check_port_name
from edge_expose_contract.violations import RuleError, shown

_HINT: Final = 'write "[published:]target[/protocol]", such as "8080:80/tcp", "5432" or "5000-5010:5000-5010/udp"'
_NUMBERS = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")
# A LoadBalancer Service takes a node port for each port; the usual range holds 2768 of them.
MAX_PORTS: Final = 1000
# All exposures of a document together: more than any node-port range holds. Without a cap the 32 KB of a twin could say
# more than a million ports, and take half a gigabyte once they are expanded.
MAX_DOCUMENT_PORTS: Final = 5000


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
        # Only ASCII: the upper case of some other letters is one of ours.
        return Protocol(text.strip().upper() if text.isascii() else text)
    except ValueError:
        raise RuleError("InvalidProtocol", f"{shown(text)} is not a protocol", "tcp, udp or sctp") from None


def check_port_number(number: int, what: str = "port") -> int:
    if isinstance(number, bool) or not 1 <= number <= 65535:
        raise RuleError("InvalidPort", f"{what} {number} is not between 1 and 65535", _HINT)
    return number


@dataclass(frozen=True, slots=True)
class PortSpan:
    """One entry of `ports` before it is expanded: `count` ports from `first` on, each to the target as far from
    `target`. A named target, a name and an application protocol stand for one port only."""

    first: int
    count: int
    target: int | str
    protocol: Protocol
    name: str | None = None
    app_protocol: str | None = None

    @property
    def last(self) -> int:
        return self.first + self.count - 1

    def expand(self) -> list[PortMapping]:
        """A mapping for each port."""
        if isinstance(self.target, str) or self.name is not None or self.app_protocol is not None:
            name = self.name or default_port_name(self.first, self.protocol)
            return [PortMapping(self.first, self.target, self.protocol, name, self.app_protocol)]
        return [
            PortMapping(port, target, self.protocol, default_port_name(port, self.protocol))
            for port, target in zip(range(self.first, self.last + 1), itertools.count(self.target), strict=False)
        ]


def parse_port(text: str | int) -> list[PortMapping]:
    """One entry of `ports` in its short form, as one mapping for each port. Raises RuleError."""
    return parse_span(text).expand()


def parse_span(text: str | int) -> PortSpan:
    """One entry of `ports` in its short form. Raises RuleError."""
    if isinstance(text, int):
        number = check_port_number(text)
        return PortSpan(number, 1, number, Protocol.TCP)
    body, slash, protocol_text = text.strip().partition("/")
    protocol = parse_protocol(protocol_text) if slash else Protocol.TCP
    published_text, colon, target_text = body.partition(":")
    published = _numbers(text, published_text)
    target: int | str = published.start
    if colon and _NUMBERS.fullmatch(target_text.strip()):
        targets = _numbers(text, target_text)
        if len(published) != len(targets):
            raise RuleError(
                "UnequalPortRanges",
                f"{shown(text)} publishes {len(published)} ports to {len(targets)}",
                "give both ranges the same length",
            )
        target = targets.start
    elif colon:
        if len(published) != 1:
            raise RuleError("InvalidPort", f"{shown(text)} sends a range to one named port", "name ports one by one")
        target = check_port_name(target_text.strip())
    return PortSpan(published.start, len(published), target, protocol)


def _numbers(whole: str, text: str) -> range:
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


def check_unique(spans: Sequence[PortSpan]) -> None:
    """Within one exposure a protocol and port, and a port name, stand once; nothing is expanded. Raises RuleError."""
    total = sum(span.count for span in spans)
    if total > MAX_PORTS:
        raise RuleError("TooManyPorts", f"{total} ports are more than {MAX_PORTS}", "split the exposure")
    ordered = sorted(spans, key=lambda span: (span.protocol, span.first))
    for before, span in itertools.pairwise(ordered):
        if before.protocol is span.protocol and span.first <= before.last:
            raise RuleError(
                "DuplicatePort",
                f"port {span.first}/{span.protocol.lower()} is published twice",
                "publish each port once",
            )
    names: set[str] = set()
    for named in (span.name for span in spans if span.name is not None):
        if named in names or any(_names_by_default(span, named) for span in spans):
            raise RuleError(
                "DuplicatePortName", f"port name {shown(named)} is used twice", "give each port its own name"
            )
        names.add(named)


def _names_by_default(span: PortSpan, name: str) -> bool:
    """Whether one of the span's ports, which got no name, has this one."""
    protocol, _, number = name.partition("-")
    if span.name is not None or protocol != span.protocol.lower() or not number.isascii() or not number.isdigit():
        return False
    return span.first <= int(number) <= span.last and name == default_port_name(int(number), span.protocol)


def beyond_document(counts: Mapping[str, int], standing: Mapping[str, int] | None = None) -> dict[str, int]:
    """Exposures that a document has no room for, each with the ports that the others publish: all together publish at
    most MAX_DOCUMENT_PORTS.

    `counts` are the ports of each exposure as wished, `standing` those of the form that stands now. What stands keeps
    its room and comes first; among equals the name decides, so that the same document gives the same answer.
    """
    held: dict[str, int] = {}
    used = 0
    for name, count in sorted((standing or {}).items()):
        room = min(count, counts.get(name, 0))
        if room and used + room <= MAX_DOCUMENT_PORTS:
            held[name] = room
            used += room
    beyond = {}
    for name in sorted(counts, key=lambda name: (name not in held, name)):
        more = counts[name] - held.get(name, 0)
        if more and used + more > MAX_DOCUMENT_PORTS:
            beyond[name] = used - held.get(name, 0)
        else:
            used += more
    return beyond


def beyond_text(count: int, others: int) -> str:
    """Why an exposure of `count` ports has no room in its document."""
    return (
        f"{count} ports are too many beside the {others} of the other exposures: a document publishes at most "
        f"{MAX_DOCUMENT_PORTS} in all"
    )
