"""Reads YAML (and JSON) text into plain data and remembers the line of every value. Pure: text in, values out."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_contract.violations import shown

MAX_BYTES = 2 * 1024 * 1024
_MAX_NODES = 200_000  # after expanding aliases: stops a document that explodes
_MAX_DEPTH = 100
_SECOND = "but found another document"  # half a sentence of the parser's
_MAX_JSON_WITH_LINES = 300_000  # above this the search for lines costs seconds


@dataclass(slots=True)
class Lines:
    """Path -> line. A path nobody wrote (a missing field) has the line of its nearest written ancestor."""

    by_path: dict[str, int] = field(default_factory=dict)

    def of(self, path: str) -> int:
        while True:
            if path in self.by_path:
                return self.by_path[path]
            if not path:
                return 1 if not self.by_path else self.by_path.get("", 1)
            path = _parent(path)


@dataclass(frozen=True, slots=True)
class YamlDocument:
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


def read_yaml(text: str, file: str) -> YamlDocument | Finding:
    """The document, or the one finding that says why there is none."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return finding("YamlSyntax", "", f"the file is larger than {MAX_BYTES} bytes").at(file, 1)
    if text.lstrip().startswith("{"):
        found = _read_json(text, file)
        if found is not None:
            return found
    try:
        node = YAML(typ="safe", pure=True).compose(io.StringIO(text))
        if node is None:
            return YamlDocument(None, Lines(), file)
        lines = Lines()
        _walk(node, "", lines, [0], 0)
        return _document(YAML(typ="safe", pure=True).load(text), lines, file)
    except DuplicateKeyError as error:
        return finding("DuplicateKey", "", _written_twice(error.problem or "")).at(file, _line(error))
    except MarkedYAMLError as error:
        return finding("YamlSyntax", "", _problem(error)).at(file, _line(error))
    except (YAMLError, _TooMuch, ValueError, RecursionError) as error:
        return finding("YamlSyntax", "", _first_line(str(error) or type(error).__name__)).at(file, 1)


def _document(data: Any, lines: Lines, file: str) -> YamlDocument:
    wrong: list[str] = []
    document = YamlDocument(_plain(data, "", wrong), lines, file)
    text, hint = "this is no number that JSON can say", "Write a finite number."
    found = [document.locate(finding("WrongType", path, text, hint=hint)) for path in wrong]
    return replace(document, findings=tuple(found))


def _problem(error: MarkedYAMLError) -> str:
    problem = _first_line(error.problem or "cannot be read")
    return "a second document begins here; one file holds one" if problem == _SECOND else problem


def _written_twice(problem: str) -> str:
    """The key, without the values that the parser tells with it: they may be passwords."""
    key = re.search(r'duplicate key "([^"]*)"', problem)
    return f"the key {shown(key[1])} is written twice" if key else "a key is written twice"


class _TooMuch(Exception):
    pass


class _Twice(Exception):
    pass


def _read_json(text: str, file: str) -> YamlDocument | Finding | None:
    """JSON proper: quicker than YAML, and tabs are fine. None when it is not JSON (a flow mapping of YAML, perhaps)."""
    try:
        data = json.loads(text, object_pairs_hook=_once)
    except _Twice as error:
        return finding("DuplicateKey", "", f"the key {error} is written twice").at(file, 1)
    except (ValueError, RecursionError):
        return None
    lines = Lines()
    if len(text) <= _MAX_JSON_WITH_LINES:
        try:
            # A tab cannot stand inside a JSON string, so this moves nothing from its line.
            _walk(YAML(typ="safe", pure=True).compose(io.StringIO(text.replace("\t", " "))), "", lines, [0], 0)
        except (YAMLError, _TooMuch, ValueError, RecursionError):
            lines = Lines()
    return _document(data, lines, file)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [key for key, _ in pairs]
        raise _Twice(next(key for key in names if names.count(key) > 1))
    return result


def _walk(node: Node, path: str, lines: Lines, count: list[int], depth: int) -> None:
    count[0] += 1
    if count[0] > _MAX_NODES or depth > _MAX_DEPTH:
        raise _TooMuch("the document is too large or too deep once its aliases are expanded")
    lines.by_path.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, ScalarNode) else "?"
            place = f"{path}.{name}" if path else str(name)
            # The line of the key, not of the value: a block value starts one line later.
            lines.by_path.setdefault(place, key.start_mark.line + 1)
            _walk(value, place, lines, count, depth + 1)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, f"{path}[{index}]", lines, count, depth + 1)


def _plain(value: Any, path: str, wrong: list[str]) -> Any:
    """JSON's kinds of values only; `wrong` takes the paths of numbers that are none."""
    match value:
        case dict():
            items = [(_key(key), item) for key, item in value.items()]
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


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _parent(path: str) -> str:
    match = re.match(r"(.*)(?:\[\d+\]|\.[^.\[\]]*)$", path)
    return match[1] if match else ""


def _line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark is not None else 1


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "cannot be read"
