"""Reads MetalLB's own pool objects: a ConfigMap up to 0.12, IPAddressPools from 0.13 on.

A pool that does not parse spoils MetalLB's whole configuration, so it is said instead of guessed around.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.violations import RuleError
from edge_expose_module.observing import Pool


def pools_from_objects(items: Sequence[Mapping[str, Any]]) -> tuple[tuple[Pool, ...], str]:
    """Pools from IPAddressPool objects, sorted by name as MetalLB does, and what is wrong with them."""
    pools: list[Pool] = []
    problems: list[str] = []
    for item in sorted(items, key=lambda item: str(item["metadata"]["name"])):
        spec = item.get("spec") or {}
        _add(
            pools,
            problems,
            str(item["metadata"]["name"]),
            spec.get("addresses"),
            spec.get("autoAssign", True),
            spec.get("avoidBuggyIPs", False),
        )
    return tuple(pools), "; ".join(problems)


def pools_from_config_map(item: Mapping[str, Any]) -> tuple[tuple[Pool, ...], str]:
    """Pools from the ConfigMap `config`, in file order, and what is wrong with it."""
    text = (item.get("data") or {}).get("config", "")
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return (), f"ConfigMap {item['metadata']['name']}: {str(error).splitlines()[0]}"
    pools: list[Pool] = []
    problems: list[str] = []
    entries = content.get("address-pools") if isinstance(content, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            _add(
                pools,
                problems,
                str(entry.get("name", "")),
                entry.get("addresses"),
                entry.get("auto-assign", True),
                entry.get("avoid-buggy-ips", False),
            )
    return tuple(pools), "; ".join(problems)


def _add(
    pools: list[Pool], problems: list[str], name: str, addresses: object, auto_assign: object, avoid_buggy: object
) -> None:
    texts = [str(text) for text in addresses] if isinstance(addresses, list) else []
    try:
        parsed = AddressSet.parse(texts)
    except RuleError as error:
        problems.append(f"pool {name}: {error.message}")
        return
    pools.append(Pool(name, parsed, auto_assign is not False, avoid_buggy is True))
