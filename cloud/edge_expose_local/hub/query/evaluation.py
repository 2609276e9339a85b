"""Runs parsed queries over twin documents. Pure."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

from edge_expose_local.hub.query.syntax import (
    Call,
    Column,
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
    if call.name == "array_contains":
        return any(_equal(item, values[1]) for item in first) if isinstance(first, list) else None
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
    """The result rows: whole documents for `*`, one object per row or per group for columns.

    A column that is not defined in a row is left out of it.
    """
    found = [row for row in rows if matches(row, query.where)]
    if query.groups:
        found = [_aggregated(query, group) for group in _grouped(query, found)]
    elif any(column.aggregate for column in query.columns):
        found = [_aggregated(query, found)]
    elif query.columns:
        found = [_project(query, row) for row in found]
    return found if query.top is None else found[: query.top]


def _grouped(query: Query, rows: list[JsonObject]) -> Iterable[list[JsonObject]]:
    groups: dict[str, list[JsonObject]] = {}
    for row in rows:
        values = [lookup(row, path) for path in query.groups]
        key = json.dumps([[value is not UNDEFINED, None if value is UNDEFINED else value] for value in values])
        groups.setdefault(key, []).append(row)
    return groups.values()


def _aggregated(query: Query, rows: list[JsonObject]) -> JsonObject:
    result: JsonObject = {}
    for number, column in enumerate(query.columns, start=1):
        value = _aggregate(column, rows) if column.aggregate else _first(column, rows)
        if value is not UNDEFINED:
            result[column.alias or (f"${number}" if column.path is None else column.path.steps[-1])] = value
    return result


def _first(column: Column, rows: list[JsonObject]) -> Any:
    assert column.path is not None
    return lookup(rows[0], column.path)


def _aggregate(column: Column, rows: list[JsonObject]) -> Any:
    """Over the numbers among the values; without one it is undefined, but COUNT."""
    if column.path is None:
        return len(rows)
    found = [lookup(row, column.path) for row in rows]
    numbers: list[float] = [value for value in found if _kind(value) == "number"]
    if not numbers:
        return UNDEFINED
    match column.aggregate:
        case "AVG":
            return sum(numbers) / len(numbers)
        case "SUM":
            return sum(numbers)
        case "MIN":
            return min(numbers)
        case _:
            return max(numbers)


def _project(query: Query, row: JsonObject) -> JsonObject:
    result: JsonObject = {}
    for column in query.columns:
        assert column.path is not None
        value = lookup(row, column.path)
        if value is not UNDEFINED:
            result[column.alias or column.path.steps[-1]] = value
    return result
