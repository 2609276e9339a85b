"""Where a text stops being base64, as Go tells it."""

from __future__ import annotations

import string

_LETTERS = frozenset(string.ascii_letters + string.digits + "+/")


def bad_byte(text: str) -> int | None:
    """The byte at which it is illegal; None for base64."""
    count = start = 0
    for at, letter in enumerate(text):
        if letter in "\r\n":
            continue
        if letter == "=":
            return _padding(text, at, count)
        if letter not in _LETTERS:
            return at
        start = at if count == 0 else start
        count = (count + 1) % 4
    return start if count else None


def _padding(text: str, at: int, count: int) -> int | None:
    """The rest from the first `=` on, after so many letters of a group."""
    if count < 2:
        return at
    rest = [(i, letter) for i, letter in enumerate(text) if i > at and letter not in "\r\n"]
    if count == 2:
        if not rest:
            return len(text)
        if rest[0][1] != "=":
            return rest[0][0]
        rest = rest[1:]
    return rest[0][0] if rest else None
