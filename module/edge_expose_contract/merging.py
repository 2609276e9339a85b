"""IoT Hub's merge patches: how one is applied, and the smallest that leads from one section to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def merged(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Json:
    """IoT Hub's merge patch: objects merge, null deletes, everything else replaces."""
    result: Json = dict(base)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            old = result.get(key)
            result[key] = merged(old if isinstance(old, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    """The smallest merge patch that turns `before` into `after`."""
    patch: Json = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            inner = merge_patch(old, value)
            if inner:
                patch[key] = inner
        elif key not in before or not same_json(old, value):
            patch[key] = value
    return patch


def same_json(left: Any, right: Any) -> bool:
    """Equal as JSON: 1 and true differ, 1 and 1.0 do not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return bool(left == right)
