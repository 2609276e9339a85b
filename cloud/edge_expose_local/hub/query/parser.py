"""The IoT Hub query language, the subset README.md states: text to syntax tree. Pure.

Sources: "IoT Hub query language", "Queries for IoT Hub device and module twins" and "Queries for IoT Hub jobs"
(Microsoft Learn); `array_contains` and `devices.`-qualified names as Azure/azure-iot-cli-extension sends them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_expose_local.hub.query.syntax import (
    TOP,
    Aggregate,
    Call,
    Column,
    Compare,
    Expression,
    Logic,
    Not,
    Operand,
    Path,
    Query,
    QueryError,
    Source,
    Value,
    Within,
)

MAX_LENGTH = 8192
_AGGREGATES: tuple[Aggregate, ...] = ("COUNT", "AVG", "SUM", "MIN", "MAX")
FUNCTIONS = {
    "array_contains": 2,
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
        self._source: Source = "devices"

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
        self._source = self._look_ahead()
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
        groups: list[Path] = []
        if self._accept_word("GROUP"):
            self._expect_word("BY")
            groups.append(self._projected())
            while self._accept_sign(","):
                groups.append(self._projected())
        self.end()
        query = Query(tuple(columns), source, where, top, tuple(groups))
        _check_grouping(query)
        return query

    def _look_ahead(self) -> Source:
        """The collection, which decides what the names before FROM mean."""
        for index, token in enumerate(self._list):
            if token.is_word("FROM") and not (index and self._list[index - 1].text == "."):
                self._at = index + 1
                source = self._collection()
                self._at = 0
                return source
        return "devices"  # the missing FROM is told when the parser gets there

    def _collection(self) -> Source:
        token = self._next()
        if not token.is_word("DEVICES"):
            raise QueryError(f"FROM '{token.text}' is not supported, only devices, devices.modules and devices.jobs")
        if not self._accept_sign("."):
            return "devices"
        token = self._next()
        if token.is_word("MODULES"):
            return "devices.modules"
        if token.is_word("JOBS"):
            return "devices.jobs"
        raise QueryError(f"FROM 'devices.{token.text}' is not supported, only devices.modules and devices.jobs")

    def from_where(self) -> tuple[Source, Expression | None]:
        self._expect_word("FROM")
        self._source = self._collection()
        where = self.expression() if self._accept_word("WHERE") else None
        return self._source, where

    def _column(self) -> Column:
        path: Path | None
        aggregate = next((name for name in _AGGREGATES if self._peek().is_word(name)), None)
        if aggregate is not None:
            self._next()
            self._expect_sign("(")
            if aggregate == "COUNT":
                self._accept_sign("*")
                path = None
            else:
                path = self._projected()
            self._expect_sign(")")
        else:
            path = self._projected()
        alias: str | None = None
        if self._accept_word("AS"):
            token = self._next()
            if token.kind != "word":
                raise QueryError(f"AS needs a name instead of '{token.text}'")
            alias = token.text
        return Column(path, alias, aggregate)

    def _projected(self) -> Path:
        """A property that documents of this collection have; another one is refused, as the service does it."""
        path = self._path()
        known = path.steps[0] in TOP[self._source].values()
        if known and path.steps[0] == "properties" and len(path.steps) > 1:
            known = path.steps[1] in ("desired", "reported")
        if not known:
            raise QueryError(f"'{path}' is no property of {self._source}")
        return path

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
                return Path(self._unqualified(steps))

    def _unqualified(self, steps: list[str]) -> tuple[str, ...]:
        """Without the name of the collection in front (`devices.deviceId`), the first step in its own spelling."""
        if len(steps) > 1 and steps[0].lower() == "devices":
            collection = self._source.partition(".")[2]
            steps = steps[2:] if len(steps) > 2 and steps[1].lower() == collection else steps[1:]
        return TOP[self._source].get(steps[0].lower(), steps[0]), *steps[1:]

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


def _check_grouping(query: Query) -> None:
    aggregates = [column for column in query.columns if column.aggregate]
    if query.source == "devices.jobs" and (query.columns or query.groups):
        raise QueryError("devices.jobs takes SELECT * only, without aggregates and GROUP BY")
    if query.groups and query.source != "devices":
        raise QueryError("GROUP BY is supported for device twins only")
    if query.groups and not query.columns:
        raise QueryError("GROUP BY needs a list of columns instead of *")
    if aggregates or query.groups:
        for column in query.columns:
            if not column.aggregate and column.path not in query.groups:
                raise QueryError(f"'{column.path}' is neither an aggregate nor in GROUP BY")


def parse_query(text: str) -> Query:
    """Raises QueryError with the part that was not understood."""
    if len(text) > MAX_LENGTH:
        raise QueryError(f"the query has {len(text)} characters, {MAX_LENGTH} are allowed")
    return _Parser(text).query()


def parse_condition(text: str) -> tuple[Source, Expression | None]:
    """A target condition: `*`, a WHERE expression, or `FROM devices.modules [WHERE ...]`. Raises QueryError.

    The empty text is not for this function: it targets nothing. IN is refused although queries take it, as the
    service does it (Azure/azure-iot-cli-extension#490).
    """
    if text.strip() == "*":
        return "devices", None
    parser = _Parser(text)
    source: Source = "devices"
    if text.strip().upper().startswith("FROM"):
        source, where = parser.from_where()
    else:
        where = parser.expression()
    parser.end()
    if where is not None and _holds_within(where):
        raise QueryError("IN and NIN are not supported in a target condition; use = with OR")
    return source, where


def _holds_within(expression: Expression) -> bool:
    match expression:
        case Within():
            return True
        case Not():
            return _holds_within(expression.inner)
        case Logic():
            return _holds_within(expression.left) or _holds_within(expression.right)
        case _:
            return False


def parse_where(text: str) -> Expression:
    """A bare condition, as a job has one. Raises QueryError."""
    parser = _Parser(text)
    expression = parser.expression()
    parser.end()
    return expression


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
