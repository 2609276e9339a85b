"""What reading a file gives: plain data, and the line of every value. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

from edge_expose_cloud.findings.finding import Finding, finding

MAX_BYTES: Final = 2 * 1024 * 1024
MAX_NODES: Final = 200_000  # after expanding aliases: stops a document that explodes
MAX_DEPTH: Final = 100
TOO_MUCH: Final = "the document is too large or too deep once its aliases are expanded"


@dataclass(slots=True)
class Lines:
    """Path -> line. A path nobody wrote (a missing field) has the line of its nearest written ancestor."""

    by_path: dict[str, int] = field(default_factory=dict)

    def of(self, path: str) -> int:
        while True:
            if path in self.by_path:
                return self.by_path[path]
            if not path:
                return 1
            path = _parent(path)


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and where each piece stands.

    `findings`: values that no document may hold; 0 stands in their place, so that the rest is checked as well.
    """

    data: Any
    lines: Lines
    file: str
    findings: tuple[Finding, ...] = ()

    def locate(self, item: Finding) -> Finding:
        """The finding with this document's file and line, unless it has its own."""
        return item if item.line else item.at(self.file, self.lines.of(item.path))


def document_of(data: Any, lines: Lines, file: str) -> Document:
    """A document of what a parser gave, with JSON's kinds of values only."""
    wrong: list[str] = []
    document = Document(_plain(data, "", wrong), lines, file)
    text, hint = "this is no number that JSON can say", "Write a finite number."
    found = [document.locate(finding("WrongType", path, text, hint=hint)) for path in wrong]
    return replace(document, findings=tuple(found))


def key_text(key: Any) -> str:
    """A key as JSON has it."""
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _plain(value: Any, path: str, wrong: list[str]) -> Any:
    """`wrong` takes the paths of numbers that are none."""
    match value:
        case dict():
            items = [(key_text(key), item) for key, item in value.items()]
            return {key: _plain(item, f"{path}.{key}" if path else key, wrong) for key, item in items}
        case list() | tuple() | set():
            return [_plain(item, f"{path}[{index}]", wrong) for index, item in enumerate(value)]
        case dt.datetime():
            # YAML reads an unquoted time as a timestamp, in UTC and without a zone when one was written.
            return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).isoformat().replace("+00:00", "Z")
        case dt.date():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "replace")
        case float() if math.isnan(value) or math.isinf(value):
            wrong.append(path)
            return 0
        case _:
            return value


def _parent(path: str) -> str:
    match = re.match(r"(.*)(?:\[\d+\]|\.[^.\[\]]*)$", path)
    return match[1] if match else ""
