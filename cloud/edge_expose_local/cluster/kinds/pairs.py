"""JSON objects that say a key twice: the last value counts, and the others are remembered for the strict check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class Pairs(dict[str, Any]):
    """An object with doubled keys; `all` are its pairs as they were written."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.all = pairs

    @staticmethod
    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """What `json.loads` calls for each object."""
        found = dict(pairs)
        return found if len(found) == len(pairs) else Pairs(pairs)

    @staticmethod
    def of(value: dict[str, Any]) -> Iterable[tuple[str, Any]]:
        """The pairs of an object, doubled ones included."""
        return value.all if isinstance(value, Pairs) else value.items()

    @staticmethod
    def plain(value: Any) -> Any:
        """The value without its doubled keys."""
        if isinstance(value, dict):
            return {key: Pairs.plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [Pairs.plain(item) for item in value]
        return value

    @staticmethod
    def doubled(value: Any, path: str = "") -> list[str]:
        """The paths of all keys that are said twice, in the order of the document."""
        found: list[str] = []
        if isinstance(value, dict):
            seen: set[str] = set()
            for key, item in Pairs.of(value):
                inner = f"{path}.{key}" if path else key
                found += [inner] if key in seen else []
                seen.add(key)
                found += Pairs.doubled(item, inner)
        elif isinstance(value, list):
            for i, item in enumerate(value):
                found += Pairs.doubled(item, f"{path}[{i}]")
        return found
