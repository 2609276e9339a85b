"""The text of a label selector: words, then requirements, refused in the words of the API server."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ApiError, bad_request
from .names import label_value, qualified_name

_SIGNS = ("==", "!=", "=", "!", "(", ")", ",", ">", "<")
_OPERATORS = {"in": "in", "notin": "notin", "=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """One requirement; `op` is one of in, notin, exists, absent, gt, lt."""

    key: str
    op: str
    values: frozenset[str] = frozenset()


def _words(text: str) -> list[str]:
    words: list[str] = []
    at = 0
    while at < len(text):
        sign = next((sign for sign in _SIGNS if text.startswith(sign, at)), "")
        if text[at].isspace():
            at += 1
            continue
        end = at + len(sign)
        while not sign and end < len(text) and not text[end].isspace() and text[end] not in "=!(),<>":
            end += 1
        words.append(text[at:end])
        at = end
    return words


def _is_name(word: str) -> bool:
    return word != "" and word not in _SIGNS


class _Parser:
    """`paths`: refusals say where, as those of newer servers do."""

    def __init__(self, text: str, paths: bool) -> None:
        self._words = _words(text)
        self._paths = paths

    @property
    def _next(self) -> str:
        return self._words[0] if self._words else ""

    def _take(self) -> str:
        return self._words.pop(0) if self._words else ""

    def all(self) -> list[Parsed]:
        found: list[Parsed] = []
        while self._words:
            if not _is_name(self._next) and self._next != "!":
                raise bad_request(f"found '{self._next}', expected: !, identifier, or 'end of string'")
            found.append(self._one())
            if not self._words:
                break
            if (word := self._take()) != ",":
                raise bad_request(f"found '{word}', expected: ',' or 'end of string'")
            if not _is_name(self._next) and self._next != "!":
                raise bad_request(f"found '{self._next}', expected: identifier after ','")
        return found

    def _one(self) -> Parsed:
        absent = self._next == "!"
        if absent:
            self._take()
        key = self._take()
        if not _is_name(key):
            raise _refused(f"found '{key}', expected: identifier")
        for problem in qualified_name(key)[:1]:
            shown = f'<nil>: Invalid value: "{key}": ' if self._paths else f'invalid label key "{key}": '
            raise _refused(shown + problem)
        if absent:
            return Parsed(key, "absent")
        if self._next in ("", ","):
            return Parsed(key, "exists")
        sign = self._take()
        if sign not in _OPERATORS:
            known = "in, notin, =, ==, !=, gt, lt" if self._paths else "'=', '!=', '==', 'in', notin'"
            raise _refused(f"found '{sign}', expected: {known}")
        values = self._values() if sign in ("in", "notin") else frozenset({self._value()})
        self._check(key, sign, values)
        return Parsed(key, _OPERATORS[sign], values)

    def _value(self) -> str:
        if self._next in ("", ","):
            return ""
        value = self._take()
        if not _is_name(value):
            raise _refused(f"found '{value}', expected: identifier")
        return value

    def _values(self) -> frozenset[str]:
        if (word := self._take()) != "(":
            raise _refused(f"found '{word}' expected: '('")
        if self._next not in (",", ")") and not _is_name(self._next):
            raise _refused(f"found '{self._next}', expected: ',', ')' or identifier")
        found: set[str] = set()
        while True:
            if self._next in (",", ")"):
                found.add("")
            else:
                found.add(self._take())
                if self._next not in (",", ")"):
                    raise _refused(f"found '{self._next}', expected: ',' or ')'")
            if self._take() == ")":
                return frozenset(found)
            if self._next not in (",", ")") and not _is_name(self._next):
                raise _refused(f"found '{self._next}', expected: ',', or identifier")

    def _check(self, key: str, sign: str, values: frozenset[str]) -> None:
        for index, value in enumerate(sorted(values)):
            if sign in "<>" and not value.lstrip("-").isdigit():
                shown = f'values[{index}]: Invalid value: "{value}": ' if self._paths else ""
                raise _refused(f"{shown}for 'Gt', 'Lt' operators, the value must be an integer")
            for problem in label_value(value)[:1]:
                new = f'values[{index}][{key}]: Invalid value: "{value}": '
                raise _refused((new if self._paths else f'invalid label value: "{value}": at key: "{key}": ') + problem)


def _refused(why: str) -> ApiError:
    return bad_request(f"unable to parse requirement: {why}")


def parse(text: str, *, paths: bool) -> list[Parsed]:
    """The requirements of a selector; raises a 400 ApiError."""
    return _Parser(text, paths).all()
