"""The IoT Hub query language, the subset README.md states: text to syntax tree. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal as OneOf


class QueryError(ValueError):
    """The query was not understood; the text names the part."""


@dataclass(frozen=True, slots=True)
class Path:
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.steps)


@dataclass(frozen=True, slots=True)
class Value:
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Within:
    """`IN` (or `NIN` when `negated`)."""

    left: Operand
    options: tuple[Operand, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    inner: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    operator: OneOf["AND", "OR"]
    left: Expression
    right: Expression


Operand = Path | Value | Call
Expression = Operand | Compare | Within | Not | Logic


@dataclass(frozen=True, slots=True)
class Column:
    """`path` None means COUNT()."""

    path: Path | None
    alias: str | None


@dataclass(frozen=True, slots=True)
class Query:
    """`columns` empty means `*`."""

    columns: tuple[Column, ...]
    source: OneOf["devices", "devices.modules"]
    where: Expression | None
    top: int | None = None


FUNCTIONS = {
    "is_defined": 1,
    "is_null": 1,
    "is_bool": 1,
    "is_number": 1,
    "is_string": 1,
    "is_object": 1,
    "is_primitive": 1,
    "startswith": 2,
    "endswith": 2,
    "contains": 2,
}
MAX_NESTING = 60
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"""
    r"""|(?P<bracket>\[\[.+?\]\])|(?P<word>[$\w][$\w\-]*)|(?P<sign><=|>=|!=|<>|[=<>(),.*\[\]]))"""
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.upper() == word


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise QueryError(f"not understood at position {at}: '{text[at : at + 20].strip()}'")
        found.append(_Token(match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)))
        at = match.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._list = _tokens(text)
        self._at = 0
        self._nesting = 0

    def _peek(self) -> _Token:
        return self._list[self._at] if self._at < len(self._list) else _Token("end", "the end of the query", -1)

    def _next(self) -> _Token:
        token = self._peek()
        self._at += 1
        return token

    def _accept_word(self, word: str) -> bool:
        if self._peek().is_word(word):
            self._at += 1
            return True
        return False

    def _accept_sign(self, sign: str) -> bool:
        token = self._peek()
        if token.kind == "sign" and token.text == sign:
            self._at += 1
            return True
        return False

    def _expect_word(self, word: str) -> None:
        if not self._accept_word(word):
            raise QueryError(f"expected {word} instead of '{self._peek().text}'")

    def _expect_sign(self, sign: str) -> None:
        if not self._accept_sign(sign):
            raise QueryError(f"expected '{sign}' instead of '{self._peek().text}'")

    def end(self) -> None:
        token = self._peek()
        if token.kind != "end":
            raise QueryError(f"not understood: '{token.text}'")

    def query(self) -> Query:
        self._expect_word("SELECT")
        top: int | None = None
        if self._accept_word("TOP"):
            token = self._next()
            if token.kind != "number" or not token.text.isdigit():
                raise QueryError(f"TOP needs a number instead of '{token.text}'")
            top = int(token.text)
        columns: list[Column] = []
        if not self._accept_sign("*"):
            columns.append(self._column())
            while self._accept_sign(","):
                columns.append(self._column())
        source, where = self.from_where()
        self.end()
        if len(columns) > 1 and any(column.path is None for column in columns):
            raise QueryError("COUNT() stands alone: GROUP BY is not supported")
        return Query(tuple(columns), source, where, top)

    def from_where(self) -> tuple[OneOf["devices", "devices.modules"], Expression | None]:
        self._expect_word("FROM")
        token = self._next()
        if not token.is_word("DEVICES"):
            raise QueryError(f"FROM '{token.text}' is not supported, only devices and devices.modules")
        source: OneOf["devices", "devices.modules"] = "devices"
        if self._accept_sign("."):
            token = self._next()
            if not token.is_word("MODULES"):
                raise QueryError(f"FROM 'devices.{token.text}' is not supported, only devices and devices.modules")
            source = "devices.modules"
        where = self.expression() if self._accept_word("WHERE") else None
        return source, where

    def _column(self) -> Column:
        path: Path | None
        if self._peek().is_word("COUNT"):
            self._next()
            self._expect_sign("(")
            self._accept_sign("*")
            self._expect_sign(")")
            path = None
        else:
            path = self._path()
        alias: str | None = None
        if self._accept_word("AS"):
            token = self._next()
            if token.kind != "word":
                raise QueryError(f"AS needs a name instead of '{token.text}'")
            alias = token.text
        return Column(path, alias)

    def _path(self) -> Path:
        token = self._next()
        if token.kind != "word":
            raise QueryError(f"expected a property instead of '{token.text}'")
        steps = [token.text]
        while True:
            if self._accept_sign("."):
                token = self._next()
                if token.kind not in ("word", "bracket", "number"):
                    raise QueryError(f"expected a property name after '{'.'.join(steps)}.' instead of '{token.text}'")
                steps.append(token.text[2:-2] if token.kind == "bracket" else token.text)
            elif self._accept_sign("["):
                token = self._next()
                if token.kind != "text":
                    raise QueryError(f"expected a quoted name in brackets instead of '{token.text}'")
                steps.append(_unquote(token.text))
                self._expect_sign("]")
            else:
                return Path(tuple(steps))

    def expression(self) -> Expression:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise QueryError(f"the condition nests deeper than {MAX_NESTING} levels")
        left = self._conjunction()
        while self._accept_word("OR"):
            left = Logic("OR", left, self._conjunction())
        self._nesting -= 1
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self._accept_word("AND"):
            left = Logic("AND", left, self._negation())
        return left

    def _negation(self) -> Expression:
        negate = False
        while self._accept_word("NOT"):
            negate = not negate
        inner = self._comparison()
        return Not(inner) if negate else inner

    def _comparison(self) -> Expression:
        if self._accept_sign("("):
            inner = self.expression()
            self._expect_sign(")")
            return inner
        left = self._operand()
        token = self._peek()
        if token.kind == "sign" and token.text in ("=", "!=", "<>", "<", ">", "<=", ">="):
            self._next()
            return Compare("!=" if token.text == "<>" else token.text, left, self._operand())
        if token.is_word("IN") or token.is_word("NIN"):
            self._next()
            close = "]" if self._accept_sign("[") else ")"
            if close == ")":
                self._expect_sign("(")
            options = [self._operand()]
            while self._accept_sign(","):
                options.append(self._operand())
            self._expect_sign(close)
            return Within(left, tuple(options), token.is_word("NIN"))
        if not isinstance(left, Call):
            raise QueryError(f"expected a comparison instead of '{token.text}'")
        return left

    def _operand(self) -> Operand:
        token = self._peek()
        if token.kind == "text":
            self._next()
            return Value(_unquote(token.text))
        if token.kind == "number":
            self._next()
            return Value(int(token.text) if token.text.lstrip("-").isdigit() else float(token.text))
        for word, value in (("TRUE", True), ("FALSE", False), ("NULL", None)):
            if token.is_word(word):
                self._next()
                return Value(value)
        path = self._path()
        if self._accept_sign("("):
            return self._call(str(path))
        return path

    def _call(self, name: str) -> Call:
        count = FUNCTIONS.get(name.lower())
        if count is None:
            raise QueryError(f"function {name}() is not supported, only {', '.join(sorted(FUNCTIONS))}")
        arguments = [self._operand()]
        while self._accept_sign(","):
            arguments.append(self._operand())
        self._expect_sign(")")
        if len(arguments) != count:
            raise QueryError(f"{name}() takes {count} argument(s), not {len(arguments)}")
        return Call(name.lower(), tuple(arguments))


def _unquote(text: str) -> str:
    return text[1:-1].replace(text[0] * 2, text[0])


def parse_query(text: str) -> Query:
    """Raises QueryError with the part that was not understood."""
    return _Parser(text).query()


def parse_condition(text: str) -> tuple[OneOf["devices", "devices.modules"], Expression | None]:
    """A target condition: `*`, a WHERE expression, or `FROM devices.modules [WHERE ...]`. Raises QueryError.

    The empty text is not for this function: it targets nothing.
    """
    if text.strip() == "*":
        return "devices", None
    parser = _Parser(text)
    if text.strip().upper().startswith("FROM"):
        source, where = parser.from_where()
    else:
        source, where = "devices", parser.expression()
    parser.end()
    return source, where


def paths_in(expression: Expression | None) -> list[Path]:
    """Every property that the expression reads."""
    match expression:
        case None | Value():
            return []
        case Path():
            return [expression]
        case Call():
            return [path for argument in expression.arguments for path in paths_in(argument)]
        case Compare() | Logic():
            return paths_in(expression.left) + paths_in(expression.right)
        case Within():
            return paths_in(expression.left) + [path for option in expression.options for path in paths_in(option)]
        case Not():
            return paths_in(expression.inner)
