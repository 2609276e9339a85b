"""Reading files: JSON as JSON, keys once, text as UTF-8; what is wrong is told at its own line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_expose_cloud.adapters.texts import read_text
from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.spec.text.documents import Document
from edge_expose_cloud.spec.text.yaml_lines import read_yaml
from edge_expose_cloud.spec.text.yaml_writer import yaml_text

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | TEXTS
    | st.sampled_from(["22:22", "on", "017", "1e5", "<<", "=", "~", "2001-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS | st.sampled_from(["<<", "=", "null"]), inner, max_size=3)
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=4)


def refused(text: str, file: str) -> Finding:
    found = read_yaml(text, file)
    assert isinstance(found, Finding), found
    return found


@pytest.mark.parametrize(
    ("text", "rule", "line", "says"),
    [
        pytest.param('{\n "a": 1,\n "b": 2,\n "a": 3\n}', "DuplicateKey", 4, "lines 2 and 4", id="a key twice"),
        pytest.param(
            '{"x": [\n {"k": {}},\n {"k": 1,\n\n "k": 2}]}', "DuplicateKey", 5, "lines 3 and 5", id="twice, deep down"
        ),
        pytest.param('{\n // why\n "a": 1}', "YamlSyntax", 2, "comment", id="a comment of one line"),
        pytest.param('{"a": 1, // why\n "b": 1}', "YamlSyntax", 1, "comment", id="a comment behind a member"),
        pytest.param('{"a": 1,\n\n /* why\n */ "b": 1}', "YamlSyntax", 3, "comment", id="a comment in a block"),
        pytest.param('{"a": 1,\n # why\n "b": 1}', "YamlSyntax", 2, "comment", id="a comment of YAML"),
        pytest.param('// why\n{"a": 1}', "YamlSyntax", 1, "comment", id="a comment before all"),
        pytest.param('{"a": 1}\n// why', "YamlSyntax", 2, "comment", id="a comment after all"),
        pytest.param('{"a": {"b": 1,\n}\n}', "YamlSyntax", 1, "comma before }", id="a comma too many in an object"),
        pytest.param('{"a": [\n1,\n2,\n]}', "YamlSyntax", 3, "comma before ]", id="a comma too many in a list"),
    ],
)
@pytest.mark.parametrize("file", ["m.json", "M.JSON", "stdin"])
def test_what_people_write_into_json_is_refused_at_its_line(
    text: str, rule: str, line: int, says: str, file: str
) -> None:
    found = refused(text, file)
    assert (found.rule, found.line, found.file) == (rule, line, file)
    assert says in found.message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": "x\ny"}', 1),
        ('{"a"\n: 1\n "b": 2}', 3),
        ("{\n'a': 1}", 2),
        ("{\na: 1}", 2),
        ('{"a":\ntrue,\n"b": yes}', 3),
        ('{"a": 01}', 1),
        ('{"a": 1}\n{"b": 1}', 2),
        ('{"a": "\\x"}', 1),
        ('{"a":\n"\\ud83d"}', 2),
        ('{"a":\n', 2),
        ('{"a":' * 200, 1),
    ],
)
def test_a_json_file_is_json_and_nothing_else(text: str, line: int) -> None:
    found = refused(text, "m.json")
    assert (found.rule, found.line) == ("YamlSyntax", line)


@pytest.mark.parametrize("text", ['{"a": 1,}', '{"a": [1,\n2,]} # why', "{a: 1, 'b': x}"])
def test_yaml_may_be_written_in_braces(text: str) -> None:
    found = read_yaml(text, "spec.yaml")
    assert isinstance(found, Document)
    assert next(iter(found.data)) == "a"


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "'1': x\nb: 2\n1: 3\n", 'x: {a: 1,\nb: 2,\n"a": 1}\n'])
def test_a_key_twice_in_yaml_names_both_lines(text: str) -> None:
    found = refused(text, "spec.yaml")
    assert (found.rule, found.line) == ("DuplicateKey", 3)
    assert "lines 1 and 3" in found.message


def test_a_value_beside_a_key_written_twice_is_not_shown() -> None:
    for text in ('{"p": "hunter2", "p": "hunter3"}', "p: hunter2\np: hunter3\n"):
        assert "hunter" not in str(refused(text, "x"))


@settings(deadline=None)
@given(DOCUMENTS)
def test_json_is_read_as_what_it_says(data: dict[str, Any]) -> None:
    found = read_yaml(json.dumps(data, indent=1), "m.json")
    assert isinstance(found, Document)
    assert json.dumps(found.data) == json.dumps(data)


@settings(deadline=None)
@given(DOCUMENTS)
def test_what_is_written_as_yaml_is_read_again(data: dict[str, Any]) -> None:
    found = read_yaml(yaml_text(data), "spec.yaml")
    assert isinstance(found, Document), (found, yaml_text(data))
    assert json.dumps(found.data) == json.dumps(data)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ['{"a": "é"}', "a: 1\n"])
def test_text_of_another_encoding_is_named_with_what_to_do(encoding: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(text.encode(encoding))
    found = read_text(str(path))
    assert isinstance(found, Finding)
    assert encoding[:6].upper() in found.message
    assert "UTF-8" in found.hint


@pytest.mark.parametrize(("raw", "text"), [(b"\xef\xbb\xbf{}", "{}"), (b"a: 1\r\nb: 2\r\n", "a: 1\nb: 2\n"), (b"", "")])
def test_text_is_read_whatever_its_mark_and_line_ends(raw: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(raw)
    assert read_text(str(path)) == text
