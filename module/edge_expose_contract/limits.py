"""What a twin can hold: sizes, key and value rules of IoT Hub's device and module twins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from edge_expose_contract.violations import Violation, shown

SECTION_BYTES: Final = 32 * 1024
STRING_BYTES: Final = 4096
KEY_BYTES: Final = 1024
DEPTH: Final = 10
MIN_INTEGER: Final = -(2**52)
MAX_INTEGER: Final = 2**52 - 1
_CONTROLS: Final = "\\x00-\\x1f\\x7f-\\x9f"
_CONTROL: Final = re.compile(f"[{_CONTROLS}]")
_ILLEGAL_IN_KEY: Final = re.compile(rf"[.$#\s{_CONTROLS}]")


def section_size(value: Any) -> int:
    """Bytes the hub counts for a section: keys and values, without `$metadata` and `$version`.

    Number 8, boolean 4, string its UTF-8 length without control characters (device twins documentation).
    """
    match value:
        case bool():
            return 4
        case int() | float():
            return 8
        case str():
            return _bytes(_CONTROL.sub("", value))
        case dict():
            return sum(
                _bytes(key) + section_size(item) for key, item in value.items() if key not in ("$metadata", "$version")
            )
        case list() | tuple():
            return sum(section_size(item) for item in value)
        case _:
            return 0


def new_twin_violations(before: dict[str, Any], after: dict[str, Any]) -> list[Violation]:
    """What a change breaks. What was wrong already is not its business: a removal must be possible beside it."""
    old = {(item.path, item.rule) for item in twin_violations(before)}
    return [item for item in twin_violations(after) if (item.path, item.rule) not in old]


def twin_violations(section: dict[str, Any], limit: int = SECTION_BYTES) -> list[Violation]:
    """Everything the hub would refuse in this section, sorted by path."""
    found = sorted(_walk(section, "", 1))
    size = section_size(section)
    if size > limit:
        found.append(
            Violation(
                "",
                "TwinTooLarge",
                f"{size} bytes are more than the {limit} a twin section holds",
                "split or shorten it",
            )
        )
    return found


def _walk(value: Any, path: str, depth: int, in_list: bool = False) -> Iterator[Violation]:
    """`in_list`: somewhere below a list, also in an object in one; a null is no deletion there."""
    match value:
        case None if in_list:
            yield Violation(path, "NullInArray", "a twin refuses null inside an array", "leave the item out")
        case dict():
            if depth > DEPTH:
                yield Violation(path, "TwinTooDeep", f"objects nest deeper than {DEPTH}", "flatten it")
                return
            for key, item in value.items():
                if key in ("$metadata", "$version"):
                    continue
                place = f"{path}.{key}" if path else str(key)
                yield from _check_key(key, place)
                yield from _walk(item, place, depth + 1, in_list)
        case list():
            if depth > DEPTH:
                yield Violation(path, "TwinTooDeep", f"lists nest deeper than {DEPTH}", "flatten it")
                return
            for index, item in enumerate(value):
                yield from _walk(item, f"{path}[{index}]", depth + 1, in_list=True)
        case str() if _bytes(value) > STRING_BYTES:
            yield Violation(
                path,
                "StringTooLong",
                f"{_bytes(value)} bytes are more than {STRING_BYTES}",
                "shorten or split it",
            )
        case int() if not isinstance(value, bool) and not MIN_INTEGER <= value <= MAX_INTEGER:
            yield Violation(path, "IntegerOutOfRange", f"{value} does not fit a twin", "send it as text")
        case _:
            return


def _check_key(key: str, place: str) -> Iterator[Violation]:
    if _ILLEGAL_IN_KEY.search(key):
        yield Violation(
            place, "IllegalTwinKey", f"{shown(key)} cannot be a twin key", "no . $ # or blanks; use a list of key=value"
        )
    if _bytes(key) > KEY_BYTES:
        yield Violation(place, "IllegalTwinKey", f"the key is longer than {KEY_BYTES} bytes", "shorten it")


def _bytes(text: str) -> int:
    """Also of a text with lone surrogates, which JSON can say and UTF-8 cannot."""
    return len(text.encode("utf-8", "surrogatepass"))
