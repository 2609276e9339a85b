"""What of an answer to a direct method fits the 128 KB that the hub carries. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")

ANSWER_BYTES: Final = 120_000
"""Leaves room for what the hub and the answer's own frame put around it."""


def json_size(value: Any) -> int:
    """Bytes of a value as JSON in ASCII, which is never less than what is sent."""
    return len(json.dumps(value))


def first_that_fit(items: Iterable[T], room: int = ANSWER_BYTES) -> list[T]:
    """Items from the start, as long as they take no more than `room` bytes; those behind are not even looked at."""
    found: list[T] = []
    for item in items:
        room -= json_size(item) + 2
        if room < 0:
            break
        found.append(item)
    return found
