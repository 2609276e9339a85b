"""Kubernetes' protobuf bodies of every kind the types are known of, read and written; and the frames of its watches."""

from __future__ import annotations

import base64
import datetime
import json
import struct
from typing import Any

from ..kinds.errors import ApiError, Document, bad_request
from ..kinds.types import Field, Types
from . import wire

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_WHOLE = "%Y-%m-%dT%H:%M:%S"


def _time(raw: bytes, *, micro: bool) -> str | None:
    parts = dict(wire.fields(raw))
    seconds, nanos = parts.get(1, 0), parts.get(2, 0)
    if not isinstance(seconds, int) or not isinstance(nanos, int) or not seconds or seconds >> 63:
        return None
    stamp = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    if micro:
        return stamp.replace(microsecond=nanos // 1000).strftime(_WHOLE + ".%fZ")
    return stamp.strftime(_WHOLE + "Z")


def _time_bytes(text: str) -> bytes:
    stamp = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return wire.number(1, int(stamp.timestamp())) + wire.number(2, stamp.microsecond * 1000)


class Codec:
    """Reads and writes the objects of one version's types."""

    def __init__(self, types: Types) -> None:
        self._types = types

    # -- reading ------------------------------------------------------------------------------------

    def read(self, body: bytes) -> Document:
        """Return the object in an envelope as the JSON it stands for; raises 400 or 415."""
        if not body.startswith(_MAGIC):
            raise bad_request("the body is no Kubernetes protobuf envelope")
        try:
            envelope = dict(wire.fields(body[len(_MAGIC) :]))
            head, raw = envelope.get(1, b""), envelope.get(2, b"")
            if not isinstance(head, bytes) or not isinstance(raw, bytes):
                raise ValueError("the envelope is broken")
            types = dict(wire.fields(head))
            api_version, kind = types.get(1, b""), types.get(2, b"")
            if not isinstance(api_version, bytes) or not isinstance(kind, bytes):
                raise ValueError("the envelope names no kind")
            head_text = {"apiVersion": api_version.decode(), "kind": kind.decode()}
            name = self._types.root(head_text["apiVersion"], head_text["kind"])
            if not name:
                message = f"protobuf of a {kind.decode()} is not served by this stand-in, send application/json"
                raise ApiError(415, "UnsupportedMediaType", message, {})
            return {**head_text, **self._message(name, raw)}
        except (ValueError, UnicodeDecodeError, OverflowError) as error:
            raise bad_request(f"the protobuf body cannot be read: {error}") from None

    def _message(self, name: str, data: bytes) -> Document:
        numbers = {field.number: (key, field) for key, field in self._types.wire(name).items()}
        result: Document = {}
        for number, raw in wire.fields(data):
            if number not in numbers:
                continue
            key, field = numbers[number]
            if field.inline:
                assert isinstance(raw, bytes)
                result.update(self._message(field.type, raw))
            elif field.shape == "list":
                result.setdefault(key, []).append(self._value(field.type, raw))
            elif field.shape == "map" and isinstance(raw, bytes):
                entry = dict(wire.fields(raw))
                name_raw = entry.get(1, b"")
                if isinstance(name_raw, bytes):
                    result.setdefault(key, {})[name_raw.decode()] = self._value(field.type, entry.get(2, b""))
            else:
                value = self._value(field.type, raw)
                # plain Go fields are always on the wire; empty ones mean "not set"
                empty = value is None or (value in ("", 0, False) and not field.optional and not field.always)
                if not empty or field.type == "IntOrString":
                    result[key] = value
        return result

    def _value(self, kind: str, raw: int | bytes) -> Any:
        if isinstance(raw, int):
            if kind == "bool":
                return bool(raw)
            return raw - (1 << 64) if raw >> 63 else raw
        match kind:
            case "string":
                return raw.decode()
            case "bytes":
                return base64.b64encode(raw).decode()
            case "float64":
                return struct.unpack("<d", raw)[0]
            case "Time" | "MicroTime":
                return _time(raw, micro=kind == "MicroTime")
            case "IntOrString":
                parts = dict(wire.fields(raw))
                text, whole = parts.get(3, b""), parts.get(2, 0)
                if parts.get(1):
                    return text.decode() if isinstance(text, bytes) else ""
                return self._value("int32", whole)
            case "Quantity":
                text = dict(wire.fields(raw)).get(1, b"")
                return text.decode() if isinstance(text, bytes) else ""
            case "FieldsV1" | "RawExtension":
                text = dict(wire.fields(raw)).get(1, b"")
                return json.loads(text) if isinstance(text, bytes) and text else {}
            case "ExtraValue":
                return [item.decode() for number, item in wire.fields(raw) if number == 1 and isinstance(item, bytes)]
        return self._message(kind, raw)

    # -- writing ------------------------------------------------------------------------------------

    def can_write(self, api_version: str, kind: str) -> bool:
        """Tell whether a kind, or a list of it, has a type here that protobuf knows."""
        name = self._types.root(api_version, kind.removesuffix("List")) or self._types.root(api_version, kind)
        return bool(name) and all(field.number for field in self._types.wire(name).values())

    def write(self, document: Document) -> bytes:
        """Return the envelope of an object, of a list or of a Status."""
        api_version, kind = document["apiVersion"], document["kind"]
        head = wire.chunk(1, api_version.encode()) + wire.chunk(2, kind.encode())
        name = self._types.root(api_version, kind)
        if name:
            raw = self._written(name, document)
        else:
            item = self._types.root(api_version, kind.removesuffix("List"))
            raw = wire.chunk(1, self._written("ListMeta", document.get("metadata") or {}))
            raw += b"".join(wire.chunk(2, self._written(item, one)) for one in document["items"])
        return _MAGIC + wire.chunk(1, head) + wire.chunk(2, raw) + wire.chunk(3, b"") + wire.chunk(4, b"")

    def frame(self, type_: str, document: Document) -> bytes:
        """Return one event of a watch: its length in four bytes, and the event."""
        event = wire.chunk(1, type_.encode()) + wire.chunk(2, wire.chunk(1, self.write(document)))
        return struct.pack(">I", len(event)) + event

    def _written(self, name: str, value: Document) -> bytes:
        out = bytearray()
        for key, field in self._types.wire(name).items():
            if field.inline:
                if any(value.get(inner) is not None for inner in self._types.fields(field.type)):
                    out += wire.chunk(field.number, self._written(field.type, value))
            elif (found := value.get(key)) is not None:
                out += self._field(field, found)
        return bytes(out)

    def _field(self, field: Field, value: Any) -> bytes:
        if field.shape == "list":
            return b"".join(self._one(field.number, field.type, item) for item in value)
        if field.shape == "map":
            entries = [
                wire.chunk(1, key.encode()) + self._one(2, field.type, item) for key, item in sorted(value.items())
            ]
            return b"".join(wire.chunk(field.number, entry) for entry in entries)
        return self._one(field.number, field.type, value)

    def _one(self, number: int, kind: str, value: Any) -> bytes:
        match kind:
            case "bool" | "int32" | "int64":
                return wire.number(number, int(value))
            case "float64":
                return wire.double(number, float(value))
            case "string":
                return wire.chunk(number, str(value).encode())
            case "bytes":
                return wire.chunk(number, base64.b64decode(value))
            case "Time" | "MicroTime":
                return wire.chunk(number, _time_bytes(value))
            case "Quantity":
                return wire.chunk(number, wire.chunk(1, str(value).encode()))
            case "FieldsV1" | "RawExtension":
                return wire.chunk(number, wire.chunk(1, json.dumps(value, separators=(",", ":")).encode()))
            case "ExtraValue":
                return wire.chunk(number, b"".join(wire.chunk(1, item.encode()) for item in value))
            case "IntOrString" if isinstance(value, str):
                return wire.chunk(number, wire.number(1, 1) + wire.number(2, 0) + wire.chunk(3, value.encode()))
            case "IntOrString":
                return wire.chunk(number, wire.number(1, 0) + wire.number(2, value) + wire.chunk(3, b""))
        return wire.chunk(number, self._written(kind, value))
