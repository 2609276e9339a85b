"""Kubernetes' strategic merge patch: lists of objects are joined by the key that their type names.

Directives: `$patch` (replace, delete), `$retainKeys`, `$deleteFromPrimitiveList/FIELD` and `$setElementOrder/FIELD`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..kinds.errors import Document, bad_request
from ..kinds.types import Field, Types

_DELETE, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


class StrategicMerge:
    """Merges by the types of one version."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def merge(self, target: Mapping[str, Any], patch: Mapping[str, Any], name: str) -> Document:
        """Apply a patch to an object of a type ("" for one that no table has: its lists are replaced)."""
        if patch.get("$patch") == "replace":
            return {k: copy.deepcopy(v) for k, v in patch.items() if k != "$patch"}
        if patch.get("$patch") == "delete":
            return {}
        fields = self._types.fields(name) if name and self._types.is_message(name) else {}
        result: Document = dict(target)
        retain = patch.get("$retainKeys")
        if isinstance(retain, list):
            result = {k: v for k, v in result.items() if k in retain}
        for key, value in patch.items():
            if key.startswith(_DELETE):
                inner = key.removeprefix(_DELETE)
                result[inner] = [item for item in result.get(inner) or [] if item not in value]
            elif key.startswith(_ORDER):
                inner = key.removeprefix(_ORDER)
                if inner not in patch and isinstance(result.get(inner), list):
                    merge_key = fields[inner].merge_key if inner in fields else ""
                    result[inner] = _ordered(result[inner], value, result[inner], merge_key)
            elif key.startswith("$"):
                continue
            elif value is None:
                result.pop(key, None)
            else:
                result[key] = self._value(result.get(key), value, fields.get(key), patch.get(_ORDER + key))
        return result

    def _value(self, current: Any, value: Any, field: Field | None, order: Any) -> Any:
        if isinstance(value, dict):
            inner = field.type if field is not None and field.shape == "one" else ""
            return self.merge(current if isinstance(current, dict) else {}, value, inner)
        if not isinstance(value, list):
            return value
        before = current if isinstance(current, list) else []
        if field is None or not field.merge:
            return copy.deepcopy(value)
        if not field.merge_key:
            merged = before + [item for item in value if item not in before]
            return _ordered(merged, order if isinstance(order, list) else value, before, "")
        return self._list(before, value, field, order)

    def _list(self, before: list[Any], value: list[Any], field: Field, order: Any) -> list[Any]:
        key = field.merge_key
        if not all(isinstance(item, dict) for item in value):
            return copy.deepcopy(value)
        if any(item.get("$patch") == "replace" for item in value):
            return [copy.deepcopy(item) for item in value if "$patch" not in item]
        merged = [dict(item) for item in before]
        for item in value:
            if key not in item:
                raise bad_request(f"map: {item} does not contain declared merge key: {key}")
            matching = [i for i, old in enumerate(merged) if old.get(key) == item[key]]
            if item.get("$patch") == "delete":
                merged = [old for old in merged if old.get(key) != item[key]]
            elif matching:
                merged[matching[0]] = self.merge(merged[matching[0]], item, field.type)
            else:
                merged.append(self.merge({}, item, field.type))
        wanted = order if isinstance(order, list) else [item for item in value if "$patch" not in item]
        return _ordered(merged, wanted, before, key)


def _ordered(items: list[Any], order: Any, before: list[Any], merge_key: str) -> list[Any]:
    """Put the items that `order` names in its order, and the others where they stood among them before."""
    if not isinstance(order, list):
        return items

    def named(item: Any) -> Any:
        return item.get(merge_key) if merge_key and isinstance(item, dict) else item

    wanted, stood = [named(item) for item in order], [named(item) for item in before]
    right = sorted((item for item in items if named(item) in wanted), key=lambda item: wanted.index(named(item)))
    left = [item for item in items if named(item) not in wanted]
    result: list[Any] = []
    while left and right:
        first, second = named(left[0]), named(right[0])
        known = first in stood and second in stood
        result.append((left if known and stood.index(first) < stood.index(second) else right).pop(0))
    return result + left + right
