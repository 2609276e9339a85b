"""Starting points of the expose form, and what a published port lets a browser open. Pure data and lookups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options
from edge_expose_contract.addressing import parse_address
from edge_expose_contract.violations import RuleError


@dataclass(frozen=True, slots=True)
class Preset:
    """`ports` are (published, target, protocol); `inside` says that it is meant for the cluster only."""

    key: str
    title: str
    what: str
    name: str
    ports: tuple[tuple[str, str, str], ...]
    inside: bool = False


PRESETS: Final[tuple[Preset, ...]] = (
    Preset("web", "Web page or API", "HTTP on 8080", "web", (("8080", "80", "TCP"),)),
    Preset(
        "rtsp", "Camera stream", "RTSP on 554, media by UDP", "camera", (("554", "554", "TCP"), ("8000", "8000", "UDP"))
    ),
    Preset("mqtt", "MQTT broker", "1883, and 8883 for TLS", "mqtt", (("1883", "1883", "TCP"), ("8883", "8883", "TCP"))),
    Preset("opcua", "OPC UA server", "4840", "opcua", (("4840", "4840", "TCP"),)),
    Preset("sql", "SQL database", "5432, inside the cluster", "db", (("5432", "5432", "TCP"),), inside=True),
    Preset("custom", "Something else", "your own ports", "", ()),
)
BY_KEY: Final = {preset.key: preset for preset in PRESETS}

_NOT_WEB: Final = frozenset(
    {21, 22, 23, 25, 53, 502, 1433, 1521, 1883, 3306, 3389, 4840, 5432, 5671, 5672, 6379, 8883, 9092, 27017}
)
_SCHEMES: Final[Mapping[int, str]] = {443: "https", 8443: "https", 554: "rtsp", 8554: "rtsp"}


def open_link(address: str, port: int, protocol: str) -> str | None:
    """A URL that opens the app; None for what no browser opens, or an address that is none (a device said it)."""
    if protocol.upper() != "TCP" or port in _NOT_WEB:
        return None
    try:
        ip = parse_address(address)
    except RuleError:
        return None
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    scheme = _SCHEMES.get(port, "http")
    default = {"http": 80, "https": 443, "rtsp": 554}[scheme]
    return f"{scheme}://{host}" + ("" if port == default else f":{port}") + ("" if scheme == "rtsp" else "/")


def known_ports(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """`80/tcp` for each port that the createOptions of a module name, sorted by number."""
    settings = entry.get("settings")
    try:
        options = read_create_options(settings if isinstance(settings, Mapping) else {})
    except CreateOptionsError:
        return ()
    host = options.get("HostConfig")
    sections = (options.get("ExposedPorts"), host.get("PortBindings") if isinstance(host, Mapping) else None)
    found = set()
    for section in sections:
        for key in section if isinstance(section, Mapping) else ():
            number, _, protocol = str(key).partition("/")
            if number.isdigit() and 0 < int(number) < 65536 and protocol.lower() in ("", "tcp", "udp", "sctp"):
                found.add((int(number), protocol.lower() or "tcp"))
    return tuple(f"{number}/{protocol}" for number, protocol in sorted(found))
