"""What a light device reports for a document. Pure; written from the contract's description, not with its code."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Any

from edge_expose_local.device_names import namespace_of

JsonObject = dict[str, Any]
VERSION = "0.1.0-simulated"


def agent_report(desired: Mapping[str, Any]) -> JsonObject:
    """edgeAgent's reported properties: every module named runs."""
    modules = desired.get("modules")
    return {
        "schemaVersion": "1.0",
        "version": {"version": VERSION, "build": "", "commit": ""},
        "lastDesiredVersion": desired.get("$version", 0),
        "lastDesiredStatus": {"code": 200, "description": ""},
        "modules": {
            str(name): {"runtimeStatus": "running", "exitCode": 0, "restartCount": 0}
            for name in (modules if isinstance(modules, dict) else {})
        },
    }


def module_report(device: str, desired: Mapping[str, Any]) -> JsonObject:
    """Our module's reported properties: every enabled exposure is Ready, external ones with an address of the range."""
    exposures = desired.get("exposures")
    entries = exposures if isinstance(exposures, dict) else {}
    free = _addresses(device, desired)
    taken = {str(entry.get("address")) for entry in entries.values() if isinstance(entry, dict)}
    report: dict[str, JsonObject] = {}
    for name, entry in sorted(entries.items()):
        if not isinstance(entry, dict):
            continue
        if entry.get("enabled") is False:
            report[name] = {"state": "Disabled"}
            continue
        report[name] = {"state": "Ready", "service": f"{namespace_of(device)}/{name}", "endpoints": 1}
        if entry.get("type", "LoadBalancer") == "LoadBalancer":
            address = str(entry.get("address") or next((item for item in free if item not in taken), free[0]))
            taken.add(address)
            report[name]["address"] = address
    ready = sum(1 for entry in report.values() if entry["state"] == "Ready")
    counts = {"pending": 0, "blocked": 0, "failed": 0, "expired": 0, "disabled": len(report) - ready, "notReady": 0}
    return {
        "lastDesiredVersion": desired.get("$version", 0),
        "lastDesiredStatus": {"code": 200, "description": ""},
        "module": {"version": VERSION},
        "cluster": {"version": "simulated", "loadBalancer": "none", "api": "ok"},
        "summary": {"ready": ready, **counts},
        "exposures": report,
    }


def _addresses(device: str, desired: Mapping[str, Any]) -> list[str]:
    """The first 256 addresses of the device's range, or of one made from its name when none was given."""
    site = desired.get("site")
    ranges = site.get("externalServiceIPs") if isinstance(site, dict) else None
    first = ranges[0] if isinstance(ranges, list) and ranges else ranges
    try:
        start = ipaddress.ip_address(str(first).split("-")[0].split("/")[0].strip())
    except ValueError:
        number = int.from_bytes(hashlib.sha256(device.encode()).digest()[:2], "big")
        start = ipaddress.ip_address(f"10.{number >> 8}.{number & 0xFF}.1")
    return [str(start + offset) for offset in range(256)]
