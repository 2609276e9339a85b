"""The text of ConfigMap `config`, as MetalLB up to 0.12 reads it: strict YAML, pools in the order they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from .pools import ConfigError, Pool, Pools, check_overlap, networks_of

_TOP_KEYS: Final = frozenset({"address-pools", "peers", "bgp-communities"})
_POOL_KEYS: Final = frozenset({"name", "protocol", "addresses", "avoid-buggy-ips", "auto-assign", "bgp-advertisements"})


def parse_config_map(text: str) -> Pools:
    """Read a whole configuration. Raises ConfigError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        raise ConfigError("broken-yaml") from None
    if node is None:
        return Pools()
    _check_keys(node)
    content = yaml.safe_load(text)
    pools: list[Pool] = []
    for place, entry in enumerate(content.get("address-pools") or [], 1):
        try:
            pool = _pool_of(entry)
        except ConfigError as error:
            error.values |= {"number": f"#{place}", "pool": str(entry.get("name") or "")}
            raise
        if any(other.name == pool.name for other in pools):
            raise ConfigError("two-pools-of-one-name", pool=pool.name)
        check_overlap(pool, pools)
        pools.append(pool)
    return Pools({pool.name: pool for pool in pools})


def _check_keys(node: yaml.Node) -> None:
    """Unknown and repeated keys, and values of another kind, fail as they do in Go."""
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError("yaml-list")
    for key, value in _fields(node, _TOP_KEYS, "unknown-key"):
        if key != "address-pools" or not isinstance(value, yaml.SequenceNode):
            continue
        for entry in value.value:
            if isinstance(entry, yaml.MappingNode):
                for name, found in _fields(entry, _POOL_KEYS, "unknown-key-of-pool"):
                    if name == "addresses" and isinstance(found, yaml.ScalarNode) and found.value:
                        raise ConfigError("addresses-as-text", line=_line(found), text=found.value)


def _fields(node: yaml.MappingNode, known: frozenset[str], unknown: str) -> list[tuple[str, yaml.Node]]:
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if key.value in found:
            raise ConfigError("repeated-key", key=key.value, line=_line(key))
        if key.value not in known:
            raise ConfigError(unknown, key=key.value, line=_line(key))
        found[key.value] = value
    return list(found.items())


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _pool_of(entry: Mapping[str, Any]) -> Pool:
    name, protocol = entry.get("name"), entry.get("protocol")
    if not name:
        raise ConfigError("pool-without-name")
    if not entry.get("addresses"):
        raise ConfigError("pool-without-addresses")
    networks = networks_of([str(element) for element in entry["addresses"]], legacy=True)
    if not protocol:
        raise ConfigError("pool-without-protocol")
    if protocol not in ("layer2", "bgp"):
        raise ConfigError("pool-of-unknown-protocol", protocol=protocol)
    if protocol == "layer2" and entry.get("bgp-advertisements"):
        raise ConfigError("layer2-pool-with-bgp-settings")
    return Pool(str(name), networks, entry.get("auto-assign") is not False, bool(entry.get("avoid-buggy-ips")))
