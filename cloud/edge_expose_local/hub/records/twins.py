"""Twins: sections that merge, replace and count versions, and the JSON that services and modules see. Pure."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]


def merge(target: Any, patch: JsonObject) -> JsonObject:
    """JSON merge patch: objects merge, null deletes, everything else replaces. Returns a new object."""
    result: JsonObject = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merge(result.get(key), value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def same(left: Any, right: Any) -> bool:
    """Equality as JSON sees it: `1`, `1.0` and `true` are three different values."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def difference(old: JsonObject, new: JsonObject) -> JsonObject:
    """The merge patch that turns `old` into `new`: vanished keys come as null."""
    patch: JsonObject = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old:
            patch[key] = copy.deepcopy(value)
        elif isinstance(value, dict) and isinstance(old[key], dict):
            if not same(old[key], value):
                patch[key] = difference(old[key], value)
        elif not same(old[key], value):
            patch[key] = copy.deepcopy(value)
    return patch


def _touch(meta: JsonObject, patch: JsonObject, stamp: JsonObject) -> None:
    meta.update(stamp)
    for key, value in patch.items():
        if value is None:
            meta.pop(key, None)
        elif isinstance(value, dict):
            child = meta.get(key)
            if not isinstance(child, dict):
                child = meta[key] = {}
            _touch(child, value, stamp)
        else:
            meta[key] = dict(stamp)


@dataclass(slots=True)
class Section:
    """Desired or reported properties: the value, `$version` (from 1, only rising) and `$metadata`."""

    value: JsonObject = field(default_factory=dict)
    version: int = 1
    meta: JsonObject = field(default_factory=dict)

    def patch(self, patch: JsonObject, now: str, with_version: bool) -> None:
        """Merges and moves the version, also when the patch changes nothing."""
        self.value = merge(self.value, patch)
        self.version += 1
        stamp: JsonObject = {"$lastUpdated": now}
        if with_version:
            stamp["$lastUpdatedVersion"] = self.version
        _touch(self.meta, patch, stamp)

    def replace(self, value: JsonObject, now: str) -> JsonObject:
        """Puts `value` in place of all; returns the merge patch that a module is sent for it."""
        change = difference(self.value, merge({}, value))
        self.patch(change, now, True)
        return change

    def service_view(self) -> JsonObject:
        return {
            **self.value,
            "$metadata": self.meta or {"$lastUpdated": "0001-01-01T00:00:00Z"},
            "$version": self.version,
        }

    def module_view(self) -> JsonObject:
        return {**self.value, "$version": self.version}


@dataclass(slots=True)
class Twin:
    """One device or module twin. `counter` makes the etag (tag and desired writes move it), `version` counts all."""

    tags: JsonObject = field(default_factory=dict)
    desired: Section = field(default_factory=Section)
    reported: Section = field(default_factory=Section)
    counter: int = 1
    version: int = 2
    configurations: dict[str, JsonObject] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        return base64.b64encode(self.counter.to_bytes(8, "big")).decode()

    def moved(self) -> None:
        self.counter += 1
        self.version += 1

    def module_view(self) -> JsonObject:
        return {"desired": self.desired.module_view(), "reported": self.reported.module_view()}

    def to_json(self) -> JsonObject:
        return {
            "tags": self.tags,
            "desired": [self.desired.value, self.desired.version, self.desired.meta],
            "reported": [self.reported.value, self.reported.version, self.reported.meta],
            "counter": self.counter,
            "version": self.version,
            "configurations": self.configurations,
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> Twin:
        return cls(
            data["tags"],
            Section(*data["desired"]),
            Section(*data["reported"]),
            data["counter"],
            data["version"],
            data["configurations"],
        )
