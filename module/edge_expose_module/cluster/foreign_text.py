"""Texts that anybody with rights in a namespace can write, such as annotations, read so that none of them ends a pass.

A text is measured before it is parsed, and one that nests too deeply is as unreadable as one with a wrong comma. Pure.
"""

from __future__ import annotations

import json
from typing import Any, Final

import yaml

MOST_CHARACTERS: Final = 65536
"""Of an annotation of ours: what a whole twin can say has room in it."""
MOST_YAML_CHARACTERS: Final = 262144
"""Of a ConfigMap: reading takes some seconds for each megabyte."""
_MOST_VALUES: Final = 50000
_DEEPEST: Final = 32
# What the libraries raise on valid syntax with senseless content, such as `2026-99-99` or a list as a key.
_UNREADABLE: Final = (ValueError, TypeError, RecursionError, OverflowError, AttributeError, KeyError, IndexError)


class Unreadable(Exception):
    """The text says why, without quoting it."""


def json_object(text: str) -> dict[str, Any]:
    """An object, or {} for what is none or cannot be read."""
    if len(text) > MOST_CHARACTERS:
        return {}
    try:
        found = json.loads(text)
    except _UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


def yaml_content(text: str) -> Any:
    """What a text of YAML says. Raises Unreadable."""
    if len(text) > MOST_YAML_CHARACTERS:
        raise Unreadable(f"it has more than {MOST_YAML_CHARACTERS} characters")
    try:
        content = yaml.load(text, _StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise Unreadable(str(error).splitlines()[0]) from error
    except RecursionError as error:
        raise Unreadable("it nests too deeply") from error
    except _UNREADABLE as error:
        raise Unreadable(f"a value in it makes no sense ({type(error).__name__})") from error
    _measure(content)
    return content


def _measure(content: Any) -> None:
    """A few aliases stand for more than any memory holds, or for themselves, once somebody walks them."""
    waiting, count = [(content, 1)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            raise Unreadable("it says too much")
        if depth > _DEEPEST:
            raise Unreadable("it nests too deeply")
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting.extend((part, depth + 1) for part in parts)


def number(text: str) -> int | None:
    """A number of at most 15 ASCII digits; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is written twice, as MetalLB's strict reader does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is written twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)
