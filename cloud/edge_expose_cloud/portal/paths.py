"""URLs of pages, as paths of this portal. Pure."""

from __future__ import annotations

from urllib.parse import quote

from edge_expose_contract.names import check_exposure_name
from edge_expose_contract.violations import RuleError


def path_of(text: str) -> str:
    """A device id or a name as one segment of a path."""
    return quote(text, safe="")


def device_path(device: str, part: str = "") -> str:
    """A device's page, or a `part` of it."""
    return f"/devices/{path_of(device)}" + (f"/{part}" if part else "")


def exposure_path(device: str, name: str, part: str = "") -> str:
    """An exposure's page, or a `part` of it. A twin takes keys that are no names: those cannot be a path's segment."""
    tail = f"/{part}" if part else ""
    try:
        check_exposure_name(name)
    except RuleError:
        return f"{device_path(device)}/exposure{tail}?name={path_of(name)}"
    return f"{device_path(device)}/exposures/{name}{tail}"
