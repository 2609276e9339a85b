"""What is wrong with a text that is no JSON, in the words of Go, which programs and people look for."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_BLANK = " \t\r\n"


class _Found(Exception):
    pass


def _quoted(char: str) -> str:
    if char == "'":
        return "'\\''"
    if char == '"':
        return "'\"'"
    return f"'{char}'" if char.isprintable() else f"'\\x{ord(char):02x}'"


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> None:
        self._value()
        if self._peek():
            self._bad("after top-level value")

    def _peek(self) -> str:
        while self._at < len(self._text) and self._text[self._at] in _BLANK:
            self._at += 1
        return self._text[self._at] if self._at < len(self._text) else ""

    def _bad(self, where: str, *, inside: bool = False) -> None:
        """`inside` of a word or a number Go takes the end of the text for a blank."""
        if self._at >= len(self._text) and not inside:
            raise _Found("unexpected end of JSON input")
        raise _Found(f"invalid character {_quoted(self._text[self._at : self._at + 1] or ' ')} {where}")

    def _value(self) -> None:
        char = self._peek()
        match char:
            case "{":
                self._object()
            case "[":
                self._array()
            case '"':
                self._string()
            case "t" | "f" | "n":
                self._word({"t": "true", "f": "false", "n": "null"}[char])
            case _:
                self._number(char)

    def _number(self, first: str) -> None:
        number = _NUMBER.match(self._text, self._at)
        if number is None and first != "-":
            self._bad("looking for beginning of value")
        self._at = number.end() if number else self._at + 1
        if number is None:
            self._bad("in numeric literal", inside=True)
        where = {".": "after decimal point in", "e": "in exponent of", "E": "in exponent of"}
        if self._at < len(self._text) and (told := where.get(self._text[self._at])):
            self._at += 1
            self._bad(f"{told} numeric literal", inside=True)

    def _word(self, word: str) -> None:
        for letter in word:
            if self._at >= len(self._text) or self._text[self._at] != letter:
                self._bad(f"in literal {word} (expecting {_quoted(letter)})", inside=True)
            self._at += 1

    def _string(self) -> None:
        self._at += 1
        while self._at < len(self._text) and self._text[self._at] != '"':
            if self._text[self._at] < " ":
                self._bad("in string literal")
            if self._text[self._at] == "\\":
                self._at += 1
                if self._text[self._at : self._at + 1] not in tuple('bfnrt\\/"u'):
                    self._bad("in string escape code", inside=True)
            self._at += 1
        if self._at >= len(self._text):
            self._bad("")
        self._at += 1

    def _object(self) -> None:
        self._at += 1
        if self._peek() == "}":
            self._at += 1
            return
        while True:
            if self._peek() != '"':
                self._bad("looking for beginning of object key string")
            self._string()
            if self._peek() != ":":
                self._bad("after object key")
            self._at += 1
            self._value()
            if self._peek() not in (",", "}"):
                self._bad("after object key:value pair")
            self._at += 1
            if self._text[self._at - 1] == "}":
                return

    def _array(self) -> None:
        self._at += 1
        if self._peek() == "]":
            self._at += 1
            return
        while True:
            self._value()
            if self._peek() not in (",", "]"):
                self._bad("after array element")
            self._at += 1
            if self._text[self._at - 1] == "]":
                return


def problem(data: bytes) -> str:
    """What Go says of it; "" for JSON."""
    try:
        _Scanner(data.decode(errors="replace")).whole()
    except _Found as found:
        return str(found)
    except RecursionError:
        return "exceeded max depth"
    return ""


def kind_of(value: object) -> str:
    """What Go calls a value that it read."""
    match value:
        case dict():
            return "object"
        case list():
            return "array"
        case bool():
            return "bool"
        case str():
            return "string"
    return "number"
