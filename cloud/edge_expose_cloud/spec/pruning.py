"""A document without the pieces that a model refused, so that the rest can still be checked or kept. Pure."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import ValidationError

Path = tuple[Any, ...]


def refused_paths(data: dict[str, Any], error: ValidationError) -> list[Path]:
    """Where in the document the errors are, each place once: the member of an object that is wrong or incomplete."""
    found: dict[Path, None] = {}
    for item in error.errors(include_url=False):
        location = item["loc"][:-1] if item["type"] == "missing" else item["loc"]
        path: list[Any] = []
        depth = 0
        node: Any = data
        for part in location:
            inside = isinstance(node, dict) and part in node
            inside = inside or (isinstance(node, list) and isinstance(part, int) and part < len(node))
            if not inside:
                break  # what follows are pydantic's tags of a union, not keys of the document
            path.append(part)
            depth = len(path) if isinstance(node, dict) else depth  # an entry of a list goes with its list
            node = node[part]
        if depth:
            found[tuple(path[:depth])] = None
    return list(found)


def without(data: dict[str, Any], paths: list[Path]) -> dict[str, Any]:
    """A copy without the members at these paths."""
    pruned = copy.deepcopy(data)
    for *trail, last in sorted(paths, key=len, reverse=True):
        node: Any = pruned
        for part in trail:
            node = node[part]
        node.pop(last, None)
    return pruned
