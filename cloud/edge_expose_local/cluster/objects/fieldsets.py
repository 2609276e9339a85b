"""Sets of fields: which fields an object has, how two objects differ, and how sets are written as FieldsV1.

A path is a tuple of elements: `f:NAME` for a field or a key of a map, `k:{...}` for the item of a list with these keys,
`v:...` for a value of a set. They are the elements of FieldsV1 itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..kinds.errors import Document
from ..kinds.types import ANY, Field, Types

Path = tuple[str, ...]
FieldSet = frozenset[Path]
EMPTY: FieldSet = frozenset()
_PLAIN = Field(0, ANY)


class Duplicate(ValueError):
    """Two items of one list have the same keys."""

    def __init__(self, path: Path, key: str) -> None:
        super().__init__(f"{shown(path)}: duplicate entries for key {_shown_key(key)}")


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _key(item: Any, field: Field, types: Types) -> str:
    known = types.fields(field.type) if types.is_message(field.type) else {}
    found = {}
    for key in sorted(field.keys):
        default = known[key].default if key in known else None
        value = item.get(key, default) if isinstance(item, dict) else None
        if value is not None:
            found[key] = value
    return "k:" + _json(found)


def elements(value: list[Any], field: Field, types: Types, path: Path = ()) -> dict[str, Any]:
    """The items of a list that owners share, by path element; raises Duplicate."""
    found: dict[str, Any] = {}
    for item in value:
        name = _key(item, field, types) if field.list_type == "map" else "v:" + _json(item)
        if name in found and field.list_type == "map":
            raise Duplicate(path, name)
        found[name] = item
    return found


def parts(value: Any, field: Field, types: Types, path: Path = ()) -> dict[str, tuple[Any, Field]] | None:
    """What a value consists of, by path element; None for one that is owned as a whole."""
    if field.atomic:
        return None
    if field.shape == "list":
        if not isinstance(value, list) or field.list_type not in ("map", "set"):
            return None
        item = Field(0, field.type)
        return {name: (one, item) for name, one in elements(value, field, types, path).items()}
    if not isinstance(value, dict):
        return None
    if field.shape == "map":
        return {f"f:{key}": (one, Field(0, field.type)) for key, one in value.items()}
    if types.is_message(field.type):
        if field.type in types.atomic:
            return None
        known = types.fields(field.type)
        return {f"f:{key}": (one, known.get(key, _PLAIN)) for key, one in value.items() if one is not None}
    if field.type == ANY:
        return {f"f:{key}": (one, _PLAIN) for key, one in value.items() if one is not None}
    return None


def fields_of(value: Any, field: Field, types: Types, path: Path = (), *, containers: bool = False) -> FieldSet:
    """The fields a value has; `containers` counts what holds others too. Items of lists always count themselves."""
    inner = parts(value, field, types, path)
    if not inner:
        return frozenset({path}) if path else EMPTY
    found: set[Path] = set()
    if path and (containers or path[-1].startswith("k:")):
        found.add(path)
    for name, (one, kind) in inner.items():
        found |= fields_of(one, kind, types, (*path, name), containers=containers)
    return frozenset(found)


class Difference:
    """What is new, different and gone from one object to another."""

    def __init__(self, old: Any, new: Any, field: Field, types: Types) -> None:
        self._types = types
        self._added: set[Path] = set()
        self._modified: set[Path] = set()
        self._removed: set[Path] = set()
        self._walk(old, new, field, ())
        self.changed: FieldSet = frozenset(self._added | self._modified)
        self.removed: FieldSet = frozenset(self._removed)

    def _walk(self, old: Any, new: Any, field: Field, path: Path) -> None:
        before, after = parts(old, field, self._types, path), parts(new, field, self._types, path)
        if before is None or after is None:
            if old != new:
                self._modified.add(path)
            return
        plain = self._plain_structs(field)
        for name in sorted(before.keys() | after.keys()):
            inner = (*path, name)
            kind = (after.get(name) or before[name])[1]
            empty: tuple[Any, Field] | None = ({}, kind) if name in plain else None
            one, other = before.get(name) or empty, after.get(name) or empty
            if one is None and other is not None:
                self._added |= fields_of(other[0], kind, self._types, inner, containers=True)
            elif other is None and one is not None:
                self._removed |= fields_of(one[0], kind, self._types, inner, containers=True)
            elif one is not None and other is not None:
                self._walk(one[0], other[0], kind, inner)

    def _plain_structs(self, field: Field) -> frozenset[str]:
        """Fields that hold an object which is always there."""
        if field.shape != "one" or not self._types.is_message(field.type):
            return frozenset()
        known = self._types.fields(field.type).items()
        return frozenset(
            f"f:{key}" for key, f in known if f.shape == "one" and not f.optional and self._types.is_message(f.type)
        )


def without(fields: FieldSet, prefixes: Iterable[Path]) -> FieldSet:
    """The fields that are none of these and stand below none of these."""
    gone = tuple(prefixes)
    return frozenset(path for path in fields if not any(path[: len(p)] == p for p in gone))


def read(tree: Mapping[str, Any], path: Path = ()) -> FieldSet:
    """A set from FieldsV1."""
    found: set[Path] = set()
    for name, inner in tree.items():
        if name == ".":
            found.add(path)
        elif inner:
            found |= read(inner, (*path, name))
        else:
            found.add((*path, name))
    return frozenset(found)


def write(fields: FieldSet) -> Document:
    """A set as FieldsV1."""
    tree: Document = {}
    for path in sorted(fields):
        node = tree
        for name in path:
            node = node.setdefault(name, {})
        node["."] = {}
    return _folded(tree)


def _folded(node: Document) -> Document:
    """Leaves are empty; only what holds others says that it is owned itself."""
    inner = {name: _folded(one) for name, one in sorted(node.items()) if name != "."}
    return {".": {}, **inner} if "." in node and inner else inner


def _shown_key(name: str) -> str:
    if name.startswith("k:"):
        return "[" + ",".join(f"{k}={_json(v)}" for k, v in json.loads(name[2:]).items()) + "]"
    return f"[={name[2:]}]"


def shown(path: Path) -> str:
    """A path as refusals name it."""
    return "".join(f".{name[2:]}" if name.startswith("f:") else _shown_key(name) for name in path)
