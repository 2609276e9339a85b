"""Who owns which fields of an object (managedFields), and server-side apply, which goes by it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..kinds.errors import ApiError, Document
from ..kinds.profiles import Profile
from ..kinds.resources import Resource
from ..kinds.types import Field, Types
from . import fieldsets
from .fieldsets import EMPTY, Difference, Duplicate, FieldSet, Path
from .prepare import now

APPLY, UPDATE = "Apply", "Update"
_BEFORE_FIRST = "before-first-apply"
_NOBODYS = tuple(
    ("f:metadata", f"f:{name}")
    for name in (
        *("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation"),
        *("managedFields", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds"),
    )
)
_HEAD: tuple[Path, ...] = (("f:apiVersion",), ("f:kind",))


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes, how, and through which subresource."""

    name: str
    operation: str = UPDATE
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class _Key:
    manager: str
    operation: str
    api_version: str
    subresource: str

    def __str__(self) -> str:
        text = json_quoted(self.manager)
        if self.operation == APPLY:
            return text
        part = f" with subresource {json_quoted(self.subresource)}" if self.subresource else ""
        return f"{text}{part} using {self.api_version}"


@dataclass(slots=True)
class _Owners:
    fields: dict[_Key, FieldSet] = field(default_factory=dict)
    times: dict[_Key, str] = field(default_factory=dict)


def json_quoted(text: str) -> str:
    """A name in quotes."""
    return f'"{text}"'


class Ownership:
    """Keeps managedFields of the objects of one version."""

    def __init__(self, profile: Profile) -> None:
        self._types: Types = profile.types
        self._subresources = profile.owners_by_subresource

    def _root(self, resource: Resource) -> Field:
        return Field(0, self._types.root(resource.api_version, resource.kind))

    def _left_out(self, subresource: str, resource: Resource) -> tuple[Path, ...]:
        """What nobody owns, and what a write through this door cannot change."""
        door: tuple[Path, ...] = ()
        if self._subresources and resource.status:
            door = (("f:spec",),) if subresource == "status" else (("f:status",),)
        return (*_HEAD, *_NOBODYS, *door)

    def _read(self, obj: Document) -> _Owners:
        found = _Owners()
        for entry in obj["metadata"].get("managedFields") or []:
            key = _Key(
                entry.get("manager", ""),
                entry.get("operation", UPDATE),
                entry.get("apiVersion", ""),
                entry.get("subresource", ""),
            )
            found.fields[key] = fieldsets.read(entry.get("fieldsV1") or {})
            found.times[key] = entry.get("time", "")
        return found

    def _write(self, obj: Document, owners: _Owners) -> None:
        entries: list[Document] = []
        for key, fields in owners.fields.items():
            if not fields:
                continue
            entry = {
                "manager": key.manager,
                "operation": key.operation,
                "apiVersion": key.api_version,
                "time": owners.times.get(key) or now(),
                "fieldsType": "FieldsV1",
                "fieldsV1": fieldsets.write(fields),
            }
            entries.append(entry | ({"subresource": key.subresource} if key.subresource else {}))
        entries.sort(key=lambda e: (e["operation"], e["time"], e["manager"], e.get("subresource", "")))
        if entries:
            obj["metadata"]["managedFields"] = entries
        else:
            obj["metadata"].pop("managedFields", None)

    def _key(self, manager: Manager, resource: Resource) -> _Key:
        part = manager.subresource if self._subresources else ""
        return _Key(manager.name, manager.operation, resource.api_version, part)

    # -- writes that are no apply -------------------------------------------------------------------

    def created(self, obj: Document, resource: Resource, manager: Manager) -> None:
        """Note, in place, that a new object is its maker's."""
        owners = _Owners()
        try:
            fields = Difference({"metadata": {}}, obj, self._root(resource), self._types).changed
        except Duplicate:
            return  # its fields cannot be told apart; the rules of the kind refuse it, or it stays without owners
        key = self._key(manager, resource)
        owners.fields[key] = fieldsets.without(fields, (*self._left_out("", resource), ("f:status",)))
        owners.times[key] = now()
        self._write(obj, owners)

    def updated(self, obj: Document, old: Document, resource: Resource, manager: Manager) -> None:
        """Note, in place, who changed what; `obj` comes with the entries it was sent with, or with none at all."""
        sent = obj["metadata"].get("managedFields")
        if sent is not None and (sent == [] or sent == [{}]):
            obj["metadata"].pop("managedFields")  # that is how one forgets them all
            return
        if not (sent or old["metadata"].get("managedFields")):
            return
        owners = self._read(obj if sent else old)
        try:
            difference = Difference(_bare(old), _bare(obj), self._root(resource), self._types)
        except Duplicate:
            self._write(obj, owners)
            return
        left_out = self._left_out(manager.subresource, resource)
        changed = fieldsets.without(difference.changed, left_out)
        removed = fieldsets.without(difference.removed, left_out)
        mine = self._key(manager, resource)
        for key in owners.fields:
            owners.fields[key] -= removed
            if key != mine:
                owners.fields[key] -= changed
        if changed:
            owners.fields[mine] = owners.fields.get(mine, EMPTY) | changed
            owners.times[mine] = now()
        self._write(obj, owners)

    # -- apply --------------------------------------------------------------------------------------

    def configuration(self, config: Document, resource: Resource, manager: Manager, name: str) -> FieldSet:
        """The fields of a configuration that is applied; raises 500, as the API server does for what has no type."""
        where = f" (/{name}; {_gvk(resource)})" if self._subresources else ""
        try:
            self._declared(config, self._root(resource), ())
            fields = fieldsets.fields_of(config, self._root(resource), self._types)
        except (Duplicate, _Undeclared) as error:
            raise ApiError(500, "", f"failed to create typed patch object{where}: {error}") from None
        return fieldsets.without(fields, self._left_out(manager.subresource, resource))

    def _declared(self, value: Any, kind: Field, path: Path) -> None:
        if isinstance(value, list) and kind.shape == "list":
            for item in value:
                self._declared(item, Field(0, kind.type), path)
        elif isinstance(value, dict) and kind.shape == "one" and self._types.is_message(kind.type):
            known = self._types.fields(kind.type)
            for key, item in value.items():
                inner = (*path, f"f:{key}")
                if key in known:
                    self._declared(item, known[key], inner)
                elif inner not in _HEAD:
                    raise _Undeclared(f"{fieldsets.shown(inner)}: field not declared in schema")

    def applied(
        self,
        live: Document | None,
        config: Document,
        fields: FieldSet,
        resource: Resource,
        manager: Manager,
        *,
        force: bool,
    ) -> Document:
        """The object that applying a configuration gives, with its owners; raises 409 that names the managers."""
        root, mine = self._root(resource), self._key(manager, resource)
        base = live or {"metadata": {}}
        owners = self._read(base)
        if live is not None and not owners.fields:
            first = _Key(_BEFORE_FIRST, UPDATE, resource.api_version, "")
            whole = Difference({"metadata": {}}, _bare(live), root, self._types).changed
            owners.fields[first] = fieldsets.without(whole, (*_HEAD, *_NOBODYS, ("f:status",)))
        merged: Document = self._merged(_bare(base), config, root)
        difference = Difference(_bare(base), merged, root, self._types)
        changed = fieldsets.without(difference.changed, self._left_out(manager.subresource, resource))
        others = {key: owned for key, owned in owners.fields.items() if key != mine}
        clashes = {key: owned & changed for key, owned in others.items() if owned & changed}
        if clashes and not force:
            raise _conflict(clashes)
        for key, clash in clashes.items():
            others[key] -= clash
        kept = fields.union(*others.values())
        merged = _pruned(merged, owners.fields.get(mine, EMPTY) - fields, kept, root, self._types)
        result = _Owners({**others, mine: fields}, dict(owners.times))
        if owners.fields.get(mine) != fields or merged != _bare(base):
            result.times[mine] = now()
        self._write(merged, result)
        return merged

    def _merged(self, live: Any, config: Any, kind: Field) -> Any:
        before, after = fieldsets.parts(live, kind, self._types), fieldsets.parts(config, kind, self._types)
        if after is None or before is None:
            return copy.deepcopy(config)
        if kind.shape == "list":
            result = {name: one for name, (one, _) in before.items()}
            for name, (one, inner) in after.items():
                known = name in before
                result[name] = self._merged(before[name][0], one, inner) if known else copy.deepcopy(one)
            return list(result.values())
        merged: Document = dict(live)
        for name, (one, inner) in after.items():
            key = name[2:]
            merged[key] = self._merged(live[key], one, inner) if key in live else copy.deepcopy(one)
        return merged


class _Undeclared(Exception):
    pass


def _gvk(resource: Resource) -> str:
    return f"{resource.group}/{resource.version}, Kind={resource.kind}"


def _bare(obj: Document) -> Document:
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": meta}


def _conflict(clashes: Mapping[_Key, FieldSet]) -> ApiError:
    told = sorted((str(key), sorted(map(fieldsets.shown, fields))) for key, fields in clashes.items())
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": path}
        for who, paths in told
        for path in paths
    ]
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = [f"conflicts with {who}:" + "".join(f"\n- {path}" for path in paths) for who, paths in told]
        text = f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", text, {"causes": causes})


def _pruned(value: Any, gone: FieldSet, kept: FieldSet, kind: Field, types: Types, path: Path = ()) -> Any:
    """Without the fields that their owner does not apply any more, and in which nobody owns anything."""
    inner = fieldsets.parts(value, kind, types)
    if not inner or not any(one[: len(path)] == path for one in gone):
        return value
    result: dict[str, Any] = {}
    for name, (one, part) in inner.items():
        here = (*path, name)
        others = any(other[: len(here)] == here for other in kept)
        if here in gone and not others:
            continue
        result[name] = _pruned(one, gone, kept, part, types, here)
    if kind.shape == "list":
        return list(result.values())
    return {name[2:]: one for name, one in result.items()}
