"""Reads JSON text, strictly, with the line of every value. Pure: text in, values out.

Stricter than `json.loads`, which lets the last of two equal keys win, and it says what people write into JSON that JSON
does not have: comments, and commas before a closing bracket.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_cloud.spec.text.documents import MAX_DEPTH, MAX_NODES, Lines
from edge_expose_contract.violations import shown

_BLANK: Final = re.compile(r"[ \t\r\n]*")
_COMMENT: Final = re.compile(r"//|/\*|#")
_SCALAR: Final = re.compile(r"-?Infinity\b|[A-Za-z_]+|-?[0-9][0-9.eE+-]*")
_STRING: Final = re.compile(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NOTE: Final = "JSON has no comments"


@dataclass(frozen=True, slots=True)
class JsonProblem(Exception):
    """Why the text is no JSON: a sentence, the line, and what to try. `duplicate`: a key is written twice.

    `known`: something people write into JSON on purpose, which YAML might read as something else.
    """

    message: str
    line: int
    hint: str = ""
    duplicate: bool = False
    known: bool = False


def read_json(text: str) -> tuple[Any, Lines]:
    """The data and its lines. Raises JsonProblem for the first thing that is not JSON."""
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._nodes = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._lines = Lines()

    def document(self) -> tuple[Any, Lines]:
        self._skip()
        value = self._value("", 0)
        self._skip()
        if self._at < len(self._text):
            raise self._problem("a second document begins here; one file holds one")
        return value, self._lines

    def _value(self, path: str, depth: int) -> Any:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise self._problem("the document is too large or too deep")
        self._lines.by_path.setdefault(path, self._line())
        match self._text[self._at : self._at + 1]:
            case "{":
                return self._object(path, depth)
            case "[":
                return self._list(path, depth)
            case '"':
                return self._string()
            case _:
                return self._scalar()

    def _object(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        self._at += 1
        while self._more("}", empty=not found):
            line = self._line()
            if not self._text.startswith('"', self._at):
                raise self._problem("a key in double quotes is expected here")
            key = self._string()
            if key in found:
                raise JsonProblem(
                    f"the key {shown(key)} is written twice, in lines {first_lines[key]} and {line}",
                    line,
                    duplicate=True,
                    known=True,
                )
            first_lines[key] = line
            place = f"{path}.{key}" if path else key
            self._lines.by_path.setdefault(place, line)
            self._skip()
            if not self._text.startswith(":", self._at):
                raise self._problem(f"a colon is expected after the key {shown(key)}")
            self._at += 1
            self._skip()
            found[key] = self._value(place, depth + 1)
        return found

    def _list(self, path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        self._at += 1
        while self._more("]", empty=not found):
            found.append(self._value(f"{path}[{len(found)}]", depth + 1))
        return found

    def _more(self, end: str, *, empty: bool) -> bool:
        """Whether another member follows; passes over the comma before it, or over the end."""
        self._skip()
        if self._text.startswith(end, self._at):
            self._at += 1
            return False
        if empty:
            return True
        if not self._text.startswith(",", self._at):
            raise self._problem(f"a comma or {end} is expected here")
        comma = self._line()
        self._at += 1
        self._skip()
        if self._text.startswith(end, self._at):
            hint = "Remove the comma, or save the file as YAML."
            raise JsonProblem(f"a comma before {end}: JSON has none after the last member", comma, hint, known=True)
        return True

    def _string(self) -> str:
        line = self._line()
        match = _STRING.match(self._text, self._at)
        if match is None:
            raise JsonProblem("a text in quotes is not closed, or holds a line break or a tab", line)
        try:
            value = str(json.loads(match[0]))
        except ValueError:
            raise JsonProblem("a text holds an unknown escape", line) from None
        self._at = match.end()
        if _SURROGATE.search(value):
            raise JsonProblem("a text holds half of a surrogate pair, which is no character", line)
        return value

    def _scalar(self) -> Any:
        match = _SCALAR.match(self._text, self._at)
        if match is None:
            raise self._problem("a value is expected here")
        try:
            # NaN and the infinities pass: they are told by their path, like those of YAML.
            value = json.loads(match[0])
        except ValueError:
            # The word itself is not shown: it may be a password that lost its quotes.
            raise self._problem("this is no value of JSON; text stands in double quotes") from None
        self._at = match.end()
        return value

    def _skip(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
        if _COMMENT.match(self._text, self._at):
            hint = "Remove it, or save the file as YAML, where comments begin with #."
            raise JsonProblem(f"a comment: {_NOTE}", self._line(), hint, known=True)

    def _problem(self, message: str) -> JsonProblem:
        return JsonProblem(message, self._line())

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at - 1) + 1
