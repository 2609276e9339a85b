"""What may stand in a twin: keys, values, depth and size. Pure; a broken rule is a sentence, not an exception."""

from __future__ import annotations

import re
from typing import Any

DESIRED_LIMIT = 32 * 1024
REPORTED_LIMIT = 32 * 1024
TAGS_LIMIT = 8 * 1024
MAX_KEY_BYTES = 1024
MAX_STRING_BYTES = 4096
MAX_DEPTH = 10
MIN_INTEGER = -4503599627370496
MAX_INTEGER = 4503599627370495
SYSTEM_KEYS = frozenset({"$metadata", "$version"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FORBIDDEN_IN_KEYS = re.compile(r"[.$# \x00-\x1f\x7f-\x9f]")


def size(value: Any) -> int:
    """Bytes as the service counts: keys and values; number 8, boolean 4, strings UTF-8 without control characters."""
    match value:
        case None:
            return 0
        case bool():
            return 4
        case int() | float():
            return 8
        case str():
            return len(_CONTROL.sub("", value).encode())
        case list():
            return sum(size(item) for item in value)
        case dict():
            return sum(len(str(key).encode()) + size(item) for key, item in value.items())
        case _:
            raise TypeError(f"{type(value).__name__} is no JSON value")


def _key_problem(key: str, path: str) -> str | None:
    where = path or "the document"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"a key in {where} is longer than {MAX_KEY_BYTES} bytes"
    if _FORBIDDEN_IN_KEYS.search(key):
        return f"the key '{key}' in {where} holds '.', '$', '#', a space or a control character"
    return None


def problem(value: Any, path: str = "", depth: int = 0, in_array: bool = False) -> str | None:
    """The first broken rule in a patch or document, or None. A null is allowed outside arrays (it deletes)."""
    match value:
        case None:
            return f"null inside an array at {path}" if in_array else None
        case bool() | float():
            return None
        case int():
            if MIN_INTEGER <= value <= MAX_INTEGER:
                return None
            return f"the integer {value} at {path} is out of range ({MIN_INTEGER} to {MAX_INTEGER})"
        case str():
            length = len(value.encode(errors="surrogatepass"))
            return (
                None
                if length <= MAX_STRING_BYTES
                else f"the string at {path} has {length} bytes, {MAX_STRING_BYTES} are allowed"
            )
        case list():
            for index, item in enumerate(value):
                if found := problem(item, f"{path}[{index}]", depth, True):
                    return found
            return None
        case dict():
            if depth > MAX_DEPTH:
                return f"objects nest deeper than {MAX_DEPTH} levels at {path}"
            for key, item in value.items():
                if found := _key_problem(key, path):
                    return found
                if found := problem(item, f"{path}.{key}" if path else key, depth + 1, in_array):
                    return found
            return None
        case _:
            return f"{type(value).__name__} at {path} is no JSON value"


def without_system_keys(section: dict[str, Any]) -> dict[str, Any]:
    """Drops what the service itself puts at the top of a section, for one that was read and is sent back.

    Any other key with a `$` is the sender's own and breaks the rule for keys.
    """
    return {key: value for key, value in section.items() if key not in SYSTEM_KEYS}


def size_problem(section: dict[str, Any], limit: int, name: str) -> str | None:
    total = size(section)
    return None if total <= limit else f"{name} would have {total} bytes, {limit} are allowed"
