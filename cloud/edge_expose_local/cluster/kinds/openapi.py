"""The types as OpenAPI schemas, with what kubectl and the official clients look for."""

from __future__ import annotations

from typing import Any

from .errors import Document
from .types import Field, Types
from .types.descriptions import description

PREFIX = "io.edge-expose."
_PLAIN: dict[str, Document] = {
    "string": {"type": "string"},
    "bytes": {"type": "string", "format": "byte"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "float64": {"type": "number", "format": "double"},
    "Time": {"type": "string", "format": "date-time"},
    "MicroTime": {"type": "string", "format": "date-time"},
    "Quantity": {"type": "string"},
    "FieldsV1": {"type": "object"},
    "RawExtension": {"type": "object"},
    "ExtraValue": {"type": "array", "items": {"type": "string"}},
}


def _one(field: Field, types: Types, where: str) -> Document:
    if types.is_message(field.type):
        return {"$ref": f"{where}{PREFIX}{field.type}"}
    if field.type == "IntOrString":
        return {"type": "string", "format": "int-or-string"}
    return dict(_PLAIN.get(field.type, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}))


def _schema(field: Field, types: Types, where: str) -> Document:
    one = _one(field, types, where)
    if field.shape == "one":
        return one | ({"x-kubernetes-patch-merge-key": field.merge_key} if field.merge_key else {})
    if field.shape == "map":
        return {"type": "object", "additionalProperties": one}
    found: Document = {"type": "array", "items": one}
    if field.merge:
        found["x-kubernetes-patch-strategy"] = "merge"
        if field.merge_key:
            found["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.list_type != "atomic":
        found["x-kubernetes-list-type"] = field.list_type
        if field.list_type == "map":
            found["x-kubernetes-list-map-keys"] = list(field.keys)
    return found


def _described(schema: Document, name: str, field: str = "") -> Document:
    text = description(name, field)
    return {**schema, "description": text} if text else schema


def definitions(roots: list[str], types: Types, where: str) -> dict[str, Any]:
    """The schemas of these types and of all that they use; `where` is how a reference begins."""
    found: dict[str, Any] = {}
    ahead = list(roots)
    while ahead:
        name = ahead.pop()
        if PREFIX + name in found:
            continue
        fields = types.fields(name)
        properties = {key: _schema(field, types, where) for key, field in fields.items()}
        if name in roots:
            properties = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, **properties}
        properties = {key: _described(schema, name, key) for key, schema in properties.items()}
        found[PREFIX + name] = _described({"type": "object", "properties": properties}, name)
        ahead += [field.type for field in fields.values() if types.is_message(field.type)]
    return dict(sorted(found.items()))
