"""Ports that a module of a manifest names in its createOptions: what it listens on, as far as anybody said. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options


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
