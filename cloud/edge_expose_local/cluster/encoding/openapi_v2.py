"""The OpenAPI v2 document in its own protobuf, as far as kubectl reads it: which kinds can be patched, and how, and the
schemas that it explains and, on servers without field validation, checks manifests with. It takes no JSON for these.
"""

from __future__ import annotations

import json

from ..kinds.errors import Document
from ..kinds.resources import Resource
from . import wire

MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What answers say, where a media type can hold no `@`."""
_GVK = "x-kubernetes-group-version-kind"
# field numbers of the messages: Document, Paths, NamedPathItem, PathItem, Operation, QueryParameterSubSchema, NamedAny
_SWAGGER, _INFO, _PATHS, _DEFINITIONS = 1, 2, 8, 9
_PATH, _NAME, _VALUE, _PATCH = 2, 1, 2, 8
_PARAMETERS, _EXTENSION = 8, 13
_IN, _PARAMETER_NAME, _TYPE = 2, 4, 6
_YAML = 2
# and of Schema
_REFERENCE, _FORMAT, _DESCRIPTION, _ADDITIONAL, _SCHEMA_TYPE, _ITEMS, _PROPERTIES, _SCHEMA_EXTENSION = (
    1,
    2,
    4,
    21,
    22,
    23,
    25,
    31,
)


def _text(field: int, value: str) -> bytes:
    return wire.chunk(field, value.encode())


def _parameter(name: str) -> bytes:
    query = _text(_IN, "query") + _text(_PARAMETER_NAME, name) + _text(_TYPE, "string")
    return wire.chunk(1, wire.chunk(2, wire.chunk(3, query)))


def _patch(resource: Resource, parameters: tuple[str, ...]) -> bytes:
    kind = f'group: "{resource.group}"\nkind: {resource.kind}\nversion: {resource.version}\n'
    extension = _text(_NAME, _GVK) + wire.chunk(_VALUE, _text(_YAML, kind))
    named = b"".join(wire.chunk(_PARAMETERS, _parameter(name)) for name in parameters)
    return named + wire.chunk(_EXTENSION, extension)


def write(document: Document, resources: list[Resource], parameters: tuple[str, ...]) -> bytes:
    """The document; `parameters` are those of every patch."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    paths = b""
    for resource in resources:
        base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        where = f"{base}/namespaces/{{namespace}}" if resource.namespaced else base
        item = wire.chunk(_PATCH, _patch(resource, parameters))
        named = _text(_NAME, f"{where}/{resource.plural}/{{name}}") + wire.chunk(_VALUE, item)
        paths += wire.chunk(_PATH, named)
    schemas = b"".join(_named(name, schema) for name, schema in document["definitions"].items())
    head = _text(_SWAGGER, document["swagger"]) + wire.chunk(_INFO, info)
    return head + wire.chunk(_PATHS, paths) + wire.chunk(_DEFINITIONS, schemas)


def _named(name: str, schema: Document) -> bytes:
    return wire.chunk(1, _text(_NAME, name) + wire.chunk(_VALUE, _schema(schema)))


def _schema(schema: Document) -> bytes:
    written = b""
    for key, value in schema.items():
        match key:
            case "$ref":
                written += _text(_REFERENCE, value)
            case "format":
                written += _text(_FORMAT, value)
            case "description":
                written += _text(_DESCRIPTION, value)
            case "type":
                written += wire.chunk(_SCHEMA_TYPE, _text(1, value))
            case "items":
                written += wire.chunk(_ITEMS, wire.chunk(1, _schema(value)))
            case "additionalProperties":
                written += wire.chunk(_ADDITIONAL, wire.chunk(1, _schema(value)))
            case "properties":
                fields = b"".join(_named(name, field) for name, field in value.items())
                written += wire.chunk(_PROPERTIES, fields)
            case _:
                extension = _text(_NAME, key) + wire.chunk(_VALUE, _text(_YAML, json.dumps(value)))
                written += wire.chunk(_SCHEMA_EXTENSION, extension)
    return written
