"""Reads YAML of every kind, in pure Python: what has the last word on what a text means. Pure: text in, values out.

Imported only for text that is not plainly written (plain_yaml.py), or where libyaml is missing.
"""

from __future__ import annotations

import io
import re

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.spec.text.documents import MAX_DEPTH, MAX_NODES, TOO_MUCH, Document, Lines, document_of
from edge_expose_contract.violations import shown

_SECOND = "but found another document"  # half a sentence of the parser's
_MERGE = "<<"


def read_any_yaml(text: str, file: str) -> Document | Finding:
    """The document, or the one finding that says why there is none."""
    try:
        node = YAML(typ="safe", pure=True).compose(io.StringIO(text))
        if node is None:
            return Document(None, Lines(), file)
        lines = Lines()
        _walk(node, "", lines, [0], 0)
        return document_of(YAML(typ="safe", pure=True).load(text), lines, file)
    except _Twice as error:
        return finding("DuplicateKey", "", str(error)).at(file, error.line)
    except DuplicateKeyError as error:
        return finding("DuplicateKey", "", _written_twice(error.problem or "")).at(file, _line(error))
    except MarkedYAMLError as error:
        return finding("YamlSyntax", "", _problem(error)).at(file, _line(error))
    except (YAMLError, _TooMuch, RecursionError, *_SENSELESS) as error:
        return finding("YamlSyntax", "", _first_line(str(error) or type(error).__name__)).at(file, 1)


def _problem(error: MarkedYAMLError) -> str:
    problem = _first_line(error.problem or "cannot be read")
    return "a second document begins here; one file holds one" if problem == _SECOND else problem


def _written_twice(problem: str) -> str:
    """The key, without the values that the parser tells with it: they may be passwords."""
    key = re.search(r'duplicate key "([^"]*)"', problem)
    return f"the key {shown(key[1])} is written twice" if key else "a key is written twice"


# What the library raises on valid syntax with senseless content, such as a list in a key.
_SENSELESS = (ValueError, TypeError, AttributeError, LookupError, OverflowError)


class _TooMuch(Exception):
    pass


class _Twice(Exception):
    def __init__(self, key: str, first: int, line: int) -> None:
        super().__init__(f"the key {shown(key)} is written twice, in lines {first} and {line}")
        self.line = line


def _walk(node: Node, path: str, lines: Lines, count: list[int], depth: int) -> None:
    count[0] += 1
    if count[0] > MAX_NODES or depth > MAX_DEPTH:
        raise _TooMuch(TOO_MUCH)
    lines.by_path.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        written: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, ScalarNode) else "?"
            line = key.start_mark.line + 1
            # Keys are texts in the end, so 1 and "1" are one key.
            if isinstance(key, ScalarNode) and name != _MERGE:
                if name in written:
                    raise _Twice(name, written[name], line)
                written[name] = line
            place = f"{path}.{name}" if path else name
            # The line of the key, not of the value: a block value starts one line later.
            lines.by_path.setdefault(place, line)
            _walk(value, place, lines, count, depth + 1)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, f"{path}[{index}]", lines, count, depth + 1)


def _line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark is not None else 1


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "cannot be read"
