"""What the types of the API are: one table for decoding, protobuf, merging, field ownership and OpenAPI.

The files are written by `tests/agreements/record_types.py`, which says what an entry means; they are all it reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .custom import CUSTOM

SCALARS = frozenset({"string", "bool", "int32", "int64", "float64", "bytes"})
ANY = "any"
"""A type whose content nobody here knows: it is kept as it is."""
_OWN = frozenset({"Time", "MicroTime", "IntOrString", "Quantity", "RawExtension", "FieldsV1", "ExtraValue", ANY})
# fields of 1.20 whose gates are off: they are dropped in silence
_GATED = {
    "1.20.15": frozenset(
        {
            "ServiceSpec.ipFamilies",
            "ServiceSpec.ipFamilyPolicy",
            "ServiceSpec.allocateLoadBalancerNodePorts",
            "ServiceSpec.topologyKeys",
        }
    ),
    "1.36.3": frozenset[str](),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `type` is what one value, one item or one entry is."""

    number: int
    type: str
    shape: str = "one"
    """one, list or map"""
    optional: bool = False
    always: bool = False
    inline: bool = False
    merge: bool = False
    merge_key: str = ""
    retain: bool = False
    list_type: str = "atomic"
    """How owners share a list: map (by `keys`), set, or atomic (one owner for all of it)."""
    keys: tuple[str, ...] = ()
    atomic: bool = False
    default: Any = None


def _field(text: str) -> Field:
    number, kind, *marks = text.split(" ")
    told = {mark.partition("=")[0]: mark.partition("=")[2] for mark in marks}
    optional, kind = kind.startswith("*"), kind.removeprefix("*")
    shape = "list" if kind.startswith("[]") else "map" if kind.startswith("map:") else "one"
    merge_key = told.get("merge", "")
    keys = tuple(told["keys"].split(",")) if "keys" in told else ((merge_key,) if merge_key else ())
    list_type = told.get("list", "map" if merge_key else "set" if "merge" in told else "atomic")
    return Field(
        int(number),
        kind.removeprefix("[]").removeprefix("map:"),
        shape,
        optional,
        "always" in told,
        "inline" in told,
        "merge" in told,
        merge_key,
        "retain" in told,
        list_type,
        keys,
        "atomic" in told,
        json.loads(told["default"]) if "default" in told else None,
    )


Fields = Mapping[str, Field]


class Types:
    """All types of one version. Names are as in the table; `root` finds that of a kind."""

    def __init__(self, table: Mapping[str, Mapping[str, str]], gated: frozenset[str]) -> None:
        self._wire: dict[str, Fields] = {}
        self.atomic = frozenset(name for name, fields in table.items() if fields.get("") == "atomic")
        """Types of which one owner holds all."""
        for name, fields in table.items():
            found = {key: _field(text) for key, text in fields.items() if key}
            self._wire[name] = MappingProxyType({k: f for k, f in found.items() if f"{name}.{k}" not in gated})
        self._flat: dict[str, Fields] = {}

    def root(self, api_version: str, kind: str) -> str:
        """The type of a kind, or "" for one that no table has."""
        group = api_version.rpartition("/")[0]
        prefix = group.partition(".")[0]
        name = kind if prefix in ("", "meta") else f"{prefix}.{kind}"
        for candidate in (name, kind if kind in ("DeleteOptions", "Status") else ""):
            if candidate in self._wire:
                return candidate
        return ""

    def has(self, name: str) -> bool:
        """Tell whether there is a type of this name."""
        return name in self._wire

    def wire(self, name: str) -> Fields:
        """The fields as protobuf nests them."""
        return self._wire[name]

    def fields(self, name: str) -> Fields:
        """The fields as JSON shows them: those of inline types stand among those of their parent."""
        if name not in self._flat:
            found: dict[str, Field] = {}
            for key, field in self._wire[name].items():
                found.update(self.fields(field.type) if field.inline else {key: field})
            self._flat[name] = MappingProxyType(found)
        return self._flat[name]

    def is_message(self, name: str) -> bool:
        """Tell whether values of a type are objects with known fields."""
        return name not in SCALARS and name not in _OWN


@cache
def types_of(version: str) -> Types:
    """The types of one version of Kubernetes (1.36.3 or 1.20.15), and those of MetalLB's objects."""
    file = Path(__file__).parent / f"kubernetes-{version}.json"
    return Types(json.loads(file.read_text(encoding="utf-8")) | CUSTOM, _GATED[version])
