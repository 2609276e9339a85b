"""Starting points of the expose form, and what a published port lets a browser open. Pure data and lookups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge_expose_contract.addressing import parse_address
from edge_expose_contract.ports import PortMapping, Protocol
from edge_expose_contract.violations import RuleError


@dataclass(frozen=True, slots=True)
class Preset:
    """`ports` are (published, target, protocol); `inside` says that it is meant for the cluster only; `probe` is the
    health check."""

    key: str
    title: str
    what: str
    name: str
    ports: tuple[tuple[str, str, str], ...]
    inside: bool = False
    probe: str = ""


PRESETS: Final[tuple[Preset, ...]] = (
    Preset("web", "Web page or API", "HTTP on 8080", "web", (("8080", "80", "TCP"),), probe="/"),
    Preset(
        "rtsp", "Camera stream", "RTSP on 554, media by UDP", "camera", (("554", "554", "TCP"), ("8000", "8000", "UDP"))
    ),
    Preset("mqtt", "MQTT broker", "1883, and 8883 for TLS", "mqtt", (("1883", "1883", "TCP"), ("8883", "8883", "TCP"))),
    Preset("opcua", "OPC UA server", "4840", "opcua", (("4840", "4840", "TCP"),)),
    Preset("sql", "SQL database", "5432, inside the cluster", "db", (("5432", "5432", "TCP"),), inside=True),
    Preset("custom", "Something else", "your own ports", "", ()),
)
BY_KEY: Final = {preset.key: preset for preset in PRESETS}

_WEB: Final[Mapping[int, str]] = {80: "http", 443: "https"}
_STREAM: Final = frozenset({554, 8554})
_WEB_PROTOCOLS: Final[Mapping[str, str]] = {"http": "http", "https": "https", "kubernetes.io/ws": "http"}


def open_link(address: str, mapping: PortMapping, probe: str | None) -> str | None:
    """A URL that opens the app, where it is known to speak HTTP or RTSP.

    It is known by the declared protocol, an HTTP health check or a well-known port. None for all else, and for an
    address that is none (a device said it).
    """
    if mapping.protocol is not Protocol.TCP:
        return None
    known = _WEB_PROTOCOLS.get((mapping.app_protocol or "").lower()) or _WEB.get(mapping.port)
    if known is None and mapping.port in _STREAM:
        known = "rtsp"
    if known is None and mapping.app_protocol is None and probe is not None and probe.startswith("/"):
        known = "http"
    if known is None:
        return None
    try:
        ip = parse_address(address)
    except RuleError:
        return None
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    default = {"http": 80, "https": 443, "rtsp": 554}[known]
    port = "" if mapping.port == default else f":{mapping.port}"
    return f"{known}://{host}{port}" + ("" if known == "rtsp" else "/")


def try_it(address: str, mapping: PortMapping, link: str | None) -> str:
    """A command to try the app with from a computer of the site."""
    try:
        host = str(parse_address(address))
    except RuleError:
        return ""
    bracketed = f"[{host}]" if ":" in host else host
    if link is not None:
        return f"ffplay {link}" if link.startswith("rtsp") else f"curl {link}"
    match mapping.port:
        case 1883:
            return f"mosquitto_sub -h {host} -p 1883 -t '#' -C 1"
        case 5432:
            return f"psql -h {host} -U USER"
        case 53:
            return f"dig @{host} example.com" + ("" if mapping.protocol is Protocol.UDP else " +tcp")
        case port if mapping.protocol is Protocol.TCP:
            return f"nc -vz {host} {port}"
        case port if mapping.protocol is Protocol.UDP:
            return f"nc -vzu {host} {port}"
        case _:
            return f"ncat --sctp {bracketed} {mapping.port}"
