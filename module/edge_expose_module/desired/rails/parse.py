"""How a rail is written, in an environment variable or in the ConfigMap. Each raises ValueError or RuleError."""

from __future__ import annotations

import math
import re

from edge_expose_contract.addressing import AddressRange, AddressSet, parse_cidr
from edge_expose_contract.identity import owner_id
from edge_expose_contract.names import check_namespace, check_qualified_name
from edge_expose_contract.violations import shown
from edge_expose_module.desired.rails.model import Patterns


def items(text: str) -> list[str]:
    return [item for item in re.split(r"[,\s]+", text) if item]


def number(text: str, low: float, high: float) -> float:
    found = float(text) if text.isascii() else math.nan
    if not low <= found <= high:
        raise ValueError(f"not between {low:g} and {high:g}")
    return found


def whole(text: str, low: int, high: int) -> int:
    """A number as it is written in ASCII digits."""
    if not re.fullmatch(r"[0-9]{1,15}", text) or not low <= int(text) <= high:
        raise ValueError(f"{shown(text)} is not a whole number between {low} and {high}")
    return int(text)


def yes_or_no(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("not true or false")
    return text.lower() == "true"


def namespaces(text: str) -> frozenset[str]:
    return frozenset(map(check_namespace, items(text)))


def ports(text: str) -> tuple[tuple[int, int], ...]:
    return tuple(map(_port_range, items(text)))


def addresses(text: str) -> AddressSet:
    return AddressSet.parse(items(text))


def networks(text: str) -> tuple[AddressRange, ...]:
    return tuple(map(parse_cidr, items(text)))


def layer_of_networks(text: str) -> tuple[tuple[AddressRange, ...], ...]:
    return (networks(text),)


def layer_of_keys(text: str) -> tuple[Patterns, ...]:
    """Keys, such as `example.com/team`, or all under a prefix: `example.com/*`."""
    for item in items(text):
        if item != "*":
            check_qualified_name(item[:-1] + "x" if item.endswith("*") else item)
    return (tuple(items(text)),)


def layer_of_hostnames(text: str) -> tuple[Patterns, ...]:
    """Names, or all below one: `*.site1.example.com`."""
    for item in items(text):
        if not re.fullmatch(r"\*|(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?", item):
            raise ValueError(f"{shown(item)} is neither a host name nor *.NAME")
    return (tuple(items(text)),)


def classes(text: str) -> frozenset[str]:
    return frozenset(map(check_qualified_name, items(text)))


def owners(text: str) -> frozenset[str]:
    """Owner ids as they stand on Services, or the identity behind one: `hub/device/module`."""
    return frozenset(map(_owner, items(text)))


def count(text: str) -> int:
    return whole(text, 0, 100000)


def percent(text: str) -> int:
    return whole(text, 0, 100)


def _owner(text: str) -> str:
    if re.fullmatch(r"[0-9a-f]{16}", text):
        return text
    parts = text.split("/")
    if len(parts) != 3 or not all(parts):
        raise ValueError(f"{shown(text)} is neither 16 hex digits of an owner label nor HUB/DEVICE/MODULE")
    return owner_id(*parts)


def _port_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    low = whole(first, 1, 65535)
    return low, whole(last, low, 65535) if last else low
