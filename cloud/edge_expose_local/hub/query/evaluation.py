"""Runs parsed queries over twin documents. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

from edge_expose_local.hub.query.parser import (
    Call,
    Compare,
    Expression,
    Logic,
    Not,
    Operand,
    Path,
    Query,
    Value,
    Within,
)

JsonObject = dict[str, Any]


class _Undefined:
    """The value of a property that is not there; no comparison with it is true, nor is its negation."""


UNDEFINED: Final = _Undefined()
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def lookup(row: JsonObject, path: Path) -> Any:
    """The value at a path, or UNDEFINED."""
    current: Any = row
    for step in path.steps:
        if not isinstance(current, dict) or step not in current:
            return UNDEFINED
        current = current[step]
    return current


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case _:
            return "object"


def _call(row: JsonObject, call: Call) -> bool | None:
    values = [_operand(row, argument) for argument in call.arguments]
    first = values[0]
    if call.name == "is_defined":
        return first is not UNDEFINED
    if any(value is UNDEFINED for value in values):
        return None
    if call.name == "is_primitive":
        return _kind(first) != "object"
    if call.name.startswith("is_"):
        return _kind(first) == call.name[3:]
    if not all(isinstance(value, str) for value in values):
        return None
    text, part = str(first), str(values[1])
    match call.name:
        case "startswith":
            return text.startswith(part)
        case "endswith":
            return text.endswith(part)
        case _:
            return part in text


def _operand(row: JsonObject, operand: Operand) -> Any:
    match operand:
        case Path():
            return lookup(row, operand)
        case Value():
            return operand.value
        case Call():
            result = _call(row, operand)
            return UNDEFINED if result is None else result


def _equal(left: Any, right: Any) -> bool:
    return _kind(left) == _kind(right) and bool(left == right)


def truth(row: JsonObject, expression: Expression) -> bool | None:
    """True, False, or None when the outcome hangs on a property that is not there."""
    match expression:
        case Path() | Value() | Call():
            value = _operand(row, expression)
            return value if isinstance(value, bool) else None
        case Not():
            inner = truth(row, expression.inner)
            return None if inner is None else not inner
        case Logic():
            left, right = truth(row, expression.left), truth(row, expression.right)
            decisive = expression.operator == "OR"
            if left is decisive or right is decisive:
                return decisive
            return None if left is None or right is None else not decisive
        case Within():
            value = _operand(row, expression.left)
            if value is UNDEFINED:
                return None
            return any(_equal(value, _operand(row, option)) for option in expression.options) != expression.negated
        case Compare():
            left, right = _operand(row, expression.left), _operand(row, expression.right)
            if left is UNDEFINED or right is UNDEFINED:
                return None
            if expression.operator in ("=", "!="):
                return _equal(left, right) == (expression.operator == "=")
            if _kind(left) != _kind(right) or _kind(left) not in ("number", "string"):
                return None
            return _ORDER[expression.operator](left, right)


def matches(row: JsonObject, where: Expression | None) -> bool:
    return where is None or truth(row, where) is True


def run(query: Query, rows: Iterable[JsonObject]) -> list[JsonObject]:
    """The result rows: whole documents for `*`, else one object per row with the columns that are defined."""
    found = [row for row in rows if matches(row, query.where)]
    if query.top is not None:
        found = found[: query.top]
    if not query.columns:
        return found
    first = query.columns[0]
    if first.path is None:
        return [{first.alias or "$1": len(found)}]
    return [_project(query, row) for row in found]


def _project(query: Query, row: JsonObject) -> JsonObject:
    result: JsonObject = {}
    for column in query.columns:
        assert column.path is not None
        value = lookup(row, column.path)
        if value is not UNDEFINED:
            result[column.alias or column.path.steps[-1]] = value
    return result
