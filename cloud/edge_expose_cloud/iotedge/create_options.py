"""createOptions of a module, as IoT Edge stores them: one JSON string cut into fields of 512 characters.

`createOptions`, `createOptions01` .. `createOptions99`; edgeAgent joins them in the order of their names. Pure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHUNK = 512
MAX_CHUNKS = 100
WIDELY_SUPPORTED_CHUNKS = 8  # the portal and older tools stop here

_FIELD = re.compile(r"createoptions([0-9]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CreateOptionsError(ValueError):
    """The createOptions fields of one module cannot be read; `problem` is a sentence."""

    problem: str

    def __str__(self) -> str:
        return self.problem


def is_options_field(name: str) -> bool:
    """Whether a key of `settings` is one of the chunks."""
    return _FIELD.fullmatch(name) is not None


def compact_json(value: object) -> str:
    """One line of ASCII JSON with sorted keys: same options, same bytes; no chunk splits a character."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def chunk_count(options: Mapping[str, Any]) -> int:
    """How many fields these options need."""
    return max(1, -(-len(compact_json(options)) // CHUNK)) if options else 1


def write_create_options(options: Mapping[str, Any]) -> dict[str, str]:
    """The fields to put under a module's `settings`. Raises CreateOptionsError above 100 chunks."""
    text = compact_json(options) if options else "{}"
    pieces = [text[start : start + CHUNK] for start in range(0, len(text), CHUNK)]
    if len(pieces) > MAX_CHUNKS:
        raise CreateOptionsError(
            f"createOptions need {len(pieces)} fields of {CHUNK} characters, at most {MAX_CHUNKS} are read"
        )
    return {_name(index): piece for index, piece in enumerate(pieces)}


def read_create_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options object that edgeAgent would see. Raises CreateOptionsError where edgeAgent refuses the module."""
    text = join_create_options(settings)
    if text.strip() == "" or text.strip().lower() == "null":
        return {}
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise CreateOptionsError(f"createOptions are not JSON: {error}") from error
    if any("\ud800" <= char <= "\udfff" for char in json.dumps(value, ensure_ascii=False)):
        raise CreateOptionsError("createOptions hold half of a surrogate pair, which is no character")
    if not isinstance(value, dict):
        raise CreateOptionsError(f"createOptions must be a JSON object, found {type(value).__name__}")
    return value


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def join_create_options(settings: Mapping[str, Any]) -> str:
    """The joined text of all createOptions fields ("" when there are none)."""
    found = sorted((name, match[1]) for name in settings if (match := _FIELD.fullmatch(name)))
    pieces: list[str] = []
    for index, (name, digits) in enumerate(found):
        if index == 0 and digits:
            raise CreateOptionsError(f'expected an empty field number but found "{digits}" ({name})')
        if index > 0 and (not digits or int(digits) != index):
            raise CreateOptionsError(f"expected {_name(index)} found {name}")
        value = settings[name]
        pieces.append(value if isinstance(value, str) else "" if value is None else compact_json(value))
    return "".join(pieces)


def _name(index: int) -> str:
    return "createOptions" if index == 0 else f"createOptions{index:02d}"
