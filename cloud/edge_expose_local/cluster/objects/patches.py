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


def _unprocessable() -> ApiError:
    """The API server says no more than this."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def _index(parent: list[Any], step: str, *, grow: bool = False) -> int:
    if step == "-" and grow:
        return len(parent)
    if not step.isdigit() or int(step) >= len(parent) + (1 if grow else 0):
        raise _unprocessable()
    return int(step)


def _lookup(document: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(document, list):
            document = document[_index(document, step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            raise _unprocessable()
    return document


def _add(document: Any, path: str, value: Any) -> Any:
    steps = _pointer(path)
    if not steps:
        return value
    parent = _lookup(document, steps[:-1])
    if isinstance(parent, list):
        parent.insert(_index(parent, steps[-1], grow=True), value)
    elif isinstance(parent, dict):
        parent[steps[-1]] = value
    else:
        raise _unprocessable()
    return document


def _remove(document: Any, path: str) -> Any:
    steps = _pointer(path)
    if not steps:
        return None
    parent = _lookup(document, steps[:-1])
    _lookup(document, steps)
    if isinstance(parent, list):
        parent.pop(_index(parent, steps[-1]))
    else:
        del parent[steps[-1]]
    return document


def json_patch(document: Document, operations: list[Any]) -> Document:
    """Apply a JSON patch; a failing operation is a 422, a malformed one a 400."""
    if len(operations) > 10_000:
        raise ApiError(413, "RequestEntityTooLarge", "the JSON patch has more than 10000 operations")
    result: Any = copy.deepcopy(document)
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request("error decoding patch: every operation needs op and path")
        op, path = operation.get("op"), operation["path"]
        value = copy.deepcopy(operation.get("value"))
        match op:
            case "add":
                result = _add(result, path, value)
            case "remove":
                result = _remove(result, path)
            case "replace":
                if isinstance(_lookup(result, _pointer(path)[:-1]), list):
                    result = _remove(result, path)
                result = _add(result, path, value)
            case "test":
                if _lookup(result, _pointer(path)) != value:
                    raise _unprocessable()
            case "move" | "copy":
                source = operation.get("from")
                if not isinstance(source, str):
                    raise bad_request("error decoding patch: from is missing")
                moved = copy.deepcopy(_lookup(result, _pointer(source)))
                if op == "move":
                    result = _remove(result, source)
                result = _add(result, path, moved)
            case _:
                raise _unprocessable()
    if not isinstance(result, dict):
        raise bad_request("the patched document is no object")
    return result
