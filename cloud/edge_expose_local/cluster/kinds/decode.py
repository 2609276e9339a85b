"""From a document that was sent to an object of its kind: types are checked, fields that no type has are dropped."""

from __future__ import annotations

import re
from typing import Any

from . import quantity
from .base64_text import bad_byte
from .errors import ApiError, Document, bad_request
from .pairs import Pairs
from .types import Field, Types

_INT32 = 1 << 31
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LAYOUT = "2006-01-02T15:04:05Z07:00"


class _Mismatch(Exception):
    pass


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _go_type(field: Field, types: Types) -> str:
    inner = {"IntOrString": "int32", "bytes": "uint8"}.get(field.type, field.type)
    if types.is_message(field.type):
        inner = f"v1.{field.type.rpartition('.')[2]}"
    return {"list": "[]", "map": "map[string]", "one": ""}[field.shape] + inner


class _Decoder:
    def __init__(self, types: Types) -> None:
        self._types = types
        self.found: list[str] = []
        """Unknown and doubled fields, in the order of the document."""

    def object(self, name: str, value: Any, path: str, shown: str) -> Document:
        fields = self._types.fields(name)
        result: Document = {}
        seen: set[str] = set()
        for key, item in Pairs.of(value):
            inner = f"{path}.{key}" if path else key
            plain = f"{shown}.{key}" if shown else key
            if key in seen:
                self.found.append(f'duplicate field "{inner}"')
            seen.add(key)
            if key not in fields:
                if not (not path and key in ("apiVersion", "kind")):
                    self.found.append(f'unknown field "{inner}"')
                    continue
                self._scalar("string", item, name, plain)
                decoded = item
            else:
                decoded = self._field(fields[key], item, inner, plain, name)
            if decoded is None:
                result.pop(key, None)
            else:
                result[key] = decoded
        return result

    def _field(self, field: Field, value: Any, path: str, shown: str, owner: str) -> Any:
        if value is None:
            return None
        if field.shape == "list":
            if not isinstance(value, list):
                raise self._mismatch(value, owner, shown, _go_type(field, self._types))
            return [self._one(field, item, f"{path}[{i}]", shown, owner) for i, item in enumerate(value)]
        if field.shape == "map":
            if not isinstance(value, dict):
                raise self._mismatch(value, owner, shown, _go_type(field, self._types))
            result: Document = {}
            for key, item in Pairs.of(value):
                if key in result:
                    self.found.append(f'duplicate field "{path}.{key}"')
                result[key] = self._one(field, item, f"{path}.{key}", shown, owner)
            return result
        return self._one(field, value, path, shown, owner)

    def _one(self, field: Field, value: Any, path: str, shown: str, owner: str) -> Any:
        if self._types.is_message(field.type):
            if value is None:
                return {}
            if not isinstance(value, dict):
                go = f"v1.{field.type.rpartition('.')[2]}"
                raise self._mismatch(value, owner, shown, go)
            return self.object(field.type, value, path, shown)
        if value is None and field.type in ("string", "bytes"):
            return ""
        self._scalar(field.type, value, owner, shown)
        return Pairs.plain(value)

    def _scalar(self, kind: str, value: Any, owner: str, shown: str) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        match kind:
            case "string" | "bytes":
                good = isinstance(value, str)
                if good and kind == "bytes" and (at := bad_byte(value)) is not None:
                    raise _Mismatch(f"illegal base64 data at input byte {at}")
            case "bool":
                good = isinstance(value, bool)
            case "int32" | "int64":
                good = number and not isinstance(value, float)
                limit = _INT32 if kind == "int32" else 1 << 63
                if number and (not good or not -limit <= value < limit):
                    raise self._mismatch(value, owner, shown, kind, literal=True)
            case "float64":
                good = number
            case "IntOrString":
                good, kind = isinstance(value, str) or (number and not isinstance(value, float)), "int32"
            case "Quantity":
                good = number or isinstance(value, str)
                if good and (why := quantity.problem(str(value))):
                    raise _Mismatch(why)
            case "Time" | "MicroTime":
                good = isinstance(value, str)
                if good and not _TIME.fullmatch(value):
                    raise _Mismatch(f'parsing time "{value}" as "{_LAYOUT}": cannot parse "{value}" as "2006"')
            case "ExtraValue":
                good, kind = isinstance(value, list), "v1.ExtraValue"
            case _:
                good = True
        if not good:
            raise self._mismatch(value, owner, shown, kind)

    @staticmethod
    def _mismatch(value: Any, owner: str, shown: str, wanted: str, *, literal: bool = False) -> _Mismatch:
        sent = f"{_json_type(value)} {value}" if literal else _json_type(value)
        struct = owner.rpartition(".")[2]
        return _Mismatch(f"json: cannot unmarshal {sent} into Go struct field {struct}.{shown} of type {wanted}")


def decode(
    kind: str, api_version: str, document: Any, types: Types, validation: str, problems: tuple[str, ...] = ()
) -> tuple[Document, list[str]]:
    """Type-check a document and drop what the type does not have.

    `validation` is Strict, Warn or Ignore; `problems` are what the parser found already. Returns the document and the
    warnings to send. Raises 400.
    """
    head = f'{kind} in version "{api_version.rsplit("/", 1)[-1]}" cannot be handled as a {kind}'
    if not isinstance(document, dict):
        raise bad_request(f"{head}: json: cannot unmarshal {_json_type(document)} into Go value of type v1.{kind}")
    name = types.root(api_version, kind)
    if not name:
        return Pairs.plain(document), []
    decoder = _Decoder(types)
    try:
        decoded = decoder.object(name, document, "", "")
    except _Mismatch as error:
        raise bad_request(f"{head}: {error}") from None
    found = [*problems, *decoder.found]
    if found and validation == "Strict":
        raise ApiError(400, "BadRequest", f"{head}: strict decoding error: " + ", ".join(found))
    return decoded, found if validation == "Warn" else []
