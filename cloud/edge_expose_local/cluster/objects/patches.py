"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902)."""

from __future__ import annotations

import copy
from typing import Any

from ..kinds.errors import ApiError, Document, bad_request


def json_merge(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: null deletes, objects merge, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result: Document = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = json_merge(result.get(key), value)
    return result


def _pointer(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise bad_request(f"json patch path {path!r} must start with /")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _unprocessable(op: str, path: str, why: str) -> ApiError:
    verb = {"test": "testing value"}.get(op, op)
    return ApiError(
        422, "Invalid", f"the server rejected our request due to an error in our request: {verb} {path}: {why}", {}
    )


def _index(parent: list[Any], step: str, op: str, path: str, *, grow: bool = False) -> int:
    if step == "-" and grow:
        return len(parent)
    if not step.isdigit() or int(step) >= len(parent) + (1 if grow else 0):
        raise _unprocessable(op, path, "index out of range")
    return int(step)


def _lookup(document: Any, steps: list[str], op: str, path: str) -> Any:
    for step in steps:
        if isinstance(document, list):
            document = document[_index(document, step, op, path)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            raise _unprocessable(op, path, "missing path")
    return document


def _add(document: Any, path: str, value: Any, op: str) -> Any:
    steps = _pointer(path)
    if not steps:
        return value
    parent = _lookup(document, steps[:-1], op, path)
    if isinstance(parent, list):
        parent.insert(_index(parent, steps[-1], op, path, grow=True), value)
    elif isinstance(parent, dict):
        parent[steps[-1]] = value
    else:
        raise _unprocessable(op, path, "missing path")
    return document


def _remove(document: Any, path: str, op: str) -> Any:
    steps = _pointer(path)
    if not steps:
        return None
    parent = _lookup(document, steps[:-1], op, path)
    _lookup(document, steps, op, path)
    if isinstance(parent, list):
        parent.pop(_index(parent, steps[-1], op, path))
    else:
        del parent[steps[-1]]
    return document


def json_patch(document: Document, operations: Any) -> Document:
    """Apply a JSON patch; a failing operation is a 422, a malformed one a 400."""
    if not isinstance(operations, list) or len(operations) > 10_000:
        raise bad_request("error decoding patch: a JSON patch is a list of operations")
    result: Any = copy.deepcopy(document)
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request("error decoding patch: every operation needs op and path")
        op, path = operation.get("op"), operation["path"]
        value = copy.deepcopy(operation.get("value"))
        match op:
            case "add":
                result = _add(result, path, value, op)
            case "remove":
                result = _remove(result, path, op)
            case "replace":
                _lookup(result, _pointer(path), op, path)
                if isinstance(_lookup(result, _pointer(path)[:-1], op, path), list):
                    result = _remove(result, path, op)
                result = _add(result, path, value, op)
            case "test":
                if _lookup(result, _pointer(path), op, path) != value:
                    raise _unprocessable(op, path, "test failed")
            case "move" | "copy":
                source = operation.get("from")
                if not isinstance(source, str):
                    raise bad_request("error decoding patch: from is missing")
                moved = copy.deepcopy(_lookup(result, _pointer(source), op, source))
                if op == "move":
                    result = _remove(result, source, op)
                result = _add(result, path, moved, op)
            case _:
                raise bad_request(f"error decoding patch: unexpected kind: {op}")
    if not isinstance(result, dict):
        raise bad_request("the patched document is no object")
    return result
