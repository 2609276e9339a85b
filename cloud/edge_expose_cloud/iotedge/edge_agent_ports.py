"""How the Kubernetes edgeAgent turns createOptions ports into Service ports. Pure.

Ports come from ExposedPorts (no target port) and from HostConfig.PortBindings; the Service keeps one entry for each
port *number*, whatever its protocol, and later entries overwrite earlier ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_expose_cloud.findings.finding import Finding, finding

_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})
# What .NET's int.TryParse takes by default: white space around, one sign, digits.
_DOTNET_INT = re.compile(r"[\t-\r ]*([+-]?[0-9]+)[\t-\r ]*")
_INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True, slots=True)
class AgentPort:
    """One entry of `spec.ports` as edgeAgent writes it."""

    name: str
    port: int
    protocol: str
    target_port: int | None = None

    def to_json(self) -> dict[str, object]:
        body: dict[str, object] = {"name": self.name, "port": self.port, "protocol": self.protocol}
        if self.target_port is not None:
            body["targetPort"] = self.target_port
        return body


@dataclass(slots=True)
class PortReading:
    """The ports in Service order; `pass_fails` when edgeAgent would throw instead of going on."""

    ports: dict[int, AgentPort] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    pass_fails: bool = False
    bindings_present: bool = False

    def put(self, port: AgentPort, path: str) -> None:
        old = self.ports.get(port.port)
        if old is not None and old != port and (old.target_port is not None or old.protocol != port.protocol):
            self.findings.append(
                finding(
                    "AgentPortLost",
                    path,
                    f"port {port.port}/{port.protocol} overwrites {old.name} ({port.port}/{old.protocol})",
                )
            )
        self.ports[port.port] = port


def lookup(mapping: Mapping[str, Any], name: str) -> Any:
    """A field by its exact name, else by any spelling of it: edgeAgent's JSON reader ignores case."""
    if name in mapping:
        return mapping[name]
    return next((value for key, value in mapping.items() if key.lower() == name.lower()), None)


def dotnet_int32(value: object) -> int | None:
    """An int32 as .NET parses it from text, or None."""
    if isinstance(value, bool) or value is None:
        return None
    match = _DOTNET_INT.fullmatch(str(value))
    if match is None:
        return None
    number = int(match[1])
    return number if number in _INT32 else None


def read_ports(options: Mapping[str, Any], path: str) -> PortReading:
    """Everything edgeAgent makes of the ports in one module's createOptions."""
    reading = PortReading()
    exposed = lookup(options, "ExposedPorts")
    if isinstance(exposed, Mapping):
        _read_exposed(exposed, f"{path}.ExposedPorts", reading)
    host_config = lookup(options, "HostConfig")
    if isinstance(host_config, Mapping):
        if lookup(host_config, "ExposedPorts"):
            reading.findings.append(
                finding(
                    "AgentOptionMisplaced",
                    f"{path}.HostConfig.ExposedPorts",
                    "ExposedPorts inside HostConfig is ignored",
                )
            )
        bindings = lookup(host_config, "PortBindings")
        if isinstance(bindings, Mapping):
            reading.bindings_present = True
            _read_bindings(bindings, f"{path}.HostConfig.PortBindings", reading)
    _check_ports(reading, path)
    return reading


def _read_exposed(exposed: Mapping[str, Any], path: str, reading: PortReading) -> None:
    for key in exposed:
        parsed = _parse_key(key, f"{path}.{key}", reading)
        if parsed is not None:
            number, protocol = parsed
            reading.put(AgentPort(f"exposedport-{number}-{protocol.lower()}", number, protocol), f"{path}.{key}")


def _read_bindings(bindings: Mapping[str, Any], path: str, reading: PortReading) -> None:
    for key, entries in bindings.items():
        place = f"{path}.{key}"
        parsed = _parse_key(key, place, reading)
        if parsed is None:
            continue
        if not isinstance(entries, list):
            reading.pass_fails = True
            reading.findings.append(
                finding("AgentPassFails", place, f"the bindings of {key!r} are {_kind(entries)}: edgeAgent throws")
            )
            continue
        container_port, protocol = parsed
        for index, host_port in enumerate(_host_ports(entries)):
            number = dotnet_int32(host_port)
            if number is None:
                reading.findings.append(
                    finding(
                        "AgentPortIgnored",
                        f"{place}[{index}].HostPort",
                        f"HostPort {host_port!r} is not one number: dropped",
                    )
                )
                continue
            reading.put(
                AgentPort(f"hostport-{container_port}-{protocol.lower()}", number, protocol, container_port),
                f"{place}[{index}]",
            )


def _host_ports(entries: list[Any]) -> Iterator[object]:
    for entry in entries:
        yield lookup(entry, "HostPort") if isinstance(entry, Mapping) else None


def _parse_key(key: str, path: str, reading: PortReading) -> tuple[int, str] | None:
    """`80`, `80/tcp` ...; None when edgeAgent ignores the key (a finding says so)."""
    if not key.strip():
        reading.findings.append(finding("AgentPortIgnored", path, "an empty port key is ignored"))
        return None
    parts = [part for part in key.split("/") if part]
    if not parts:
        reading.pass_fails = True
        reading.findings.append(finding("AgentPassFails", path, f"port key {key!r}: edgeAgent throws"))
        return None
    number = dotnet_int32(parts[0])
    protocol = parts[1].upper() if len(parts) > 1 else "TCP"
    if len(parts) > 2 or number is None or protocol not in _PROTOCOLS:
        reading.findings.append(finding("AgentPortIgnored", path, f"port key {key!r} is ignored"))
        return None
    return number, protocol


def _check_ports(reading: PortReading, path: str) -> None:
    by_name: dict[str, int] = {}
    for port in reading.ports.values():
        if port.name in by_name:
            reading.findings.append(
                finding(
                    "AgentPortNameTwice",
                    path,
                    f"ports {by_name[port.name]} and {port.port} are both named {port.name}: the Service is refused",
                )
            )
        by_name.setdefault(port.name, port.port)
        wrong = [number for number in (port.port, port.target_port) if number is not None and not 1 <= number <= 65535]
        if wrong:
            reading.findings.append(
                finding(
                    "AgentPortRange",
                    path,
                    f"port {wrong[0]} is not between 1 and 65535: the API server refuses the Service",
                )
            )


def _kind(value: object) -> str:
    return "null" if value is None else f"not a list ({type(value).__name__})"
