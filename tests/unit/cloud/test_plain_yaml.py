"""The quick reader of plainly written YAML and the one that has the last word: the same data, lines and mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.spec.text.any_yaml import read_any_yaml
from edge_expose_cloud.spec.text.documents import Document, Lines, document_of
from edge_expose_cloud.spec.text.plain_yaml import HAS_LIBYAML, read_plain_yaml
from edge_expose_cloud.spec.text.yaml_lines import read_yaml

ROOT = Path(__file__).resolve().parents[3]
WORDS = [
    *(
        "a",
        "b",
        "a b",
        "1",
        "017",
        "+1",
        "-0",
        "1_000",
        "1.0",
        ".5",
        "1.",
        "1e3",
        "0x1F",
        "0b1",
        "0o7",
        "22:22",
        "1:2:3",
    ),
    *("on", "yes", "y", "true", "True", "tRUE", "null", "Null", "~", "", "=", "<<", ".inf", "-.INF", ".nan", "_", "-_"),
    *("2001-01-01", "2001-01-01T10:00:00Z", "2001-1-1", "2001-13-99", "10.0.0.1-10.0.0.2", "10.0.0.0/24", "fd00::1"),
    *(
        "'q'",
        "'q''q'",
        '"d"',
        '"\\n\\/"',
        '"\\x41\\u00e9"',
        '"\\q"',
        "a#b",
        "a:b",
        "http://x",
        "8080:80/tcp",
        "${env:A}",
    ),
    *(
        "&x a",
        "*x",
        "!t a",
        "!!str 1",
        "!!int '1'",
        "|",
        "|-",
        ">",
        "@",
        "`",
        "é",
        "\u2028",
        "😀",
        "\x85",
        "\xa0",
        "\x07",
    ),
    *("[1, 2]", "{b: 1}", "[", "]", "{", "}", ",", "[a, [b]]", '{"a":1}', "{a:1}", "[a: b]", "{a}", "[]", "{}"),
]
JOINTS = [
    ": ",
    ":",
    "- ",
    "-",
    "? ",
    " #c",
    "#",
    "\n",
    "\n  ",
    "\n    ",
    "\n- ",
    "\n  - ",
    " ",
    "\t",
    "\r\n",
    ",",
    "'",
    '"',
]
MARKS = ["---\n", "--- ", "...\n", "%YAML 1.1\n---\n", "\ufeff", "<<: *x\n", "a: 1\n", "b:\n  ", "b:\n- "]
SOUP = st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(JOINTS), st.sampled_from(MARKS)), max_size=14)

SCALARS = st.sampled_from(WORDS)
KEYS = st.one_of(st.sampled_from(["a", "b", "c", "'d'", "1", "01", "-1", "true", "~", "1.0", "é", "a b", "a.b", "<<"]))


def block(depth: int) -> st.SearchStrategy[list[str]]:
    """Lines of a block, well indented."""
    if depth == 0:
        return SCALARS.map(lambda text: [text])
    inner = st.deferred(lambda: block(depth - 1))
    comment = st.sampled_from(["", "", " # why"])

    def entry(head: str, lines: list[str], note: str) -> list[str]:
        if len(lines) == 1 and ": " not in lines[0] and not lines[0].startswith("- "):
            return [f"{head} {lines[0]}{note}"]
        return [head + note, *(f"  {line}" for line in lines)]

    mapping = st.lists(
        st.builds(lambda key, lines, note: entry(f"{key}:", lines, note), KEYS, inner, comment), min_size=1
    )
    listing = st.lists(st.builds(lambda lines, note: entry("-", lines, note), inner, comment), min_size=1)
    return st.one_of(mapping, listing, SCALARS.map(lambda text: [[text]])).map(
        lambda found: [line for lines in found[:4] for line in lines]
    )


def agree(text: str) -> bool:
    """Whether the quick reader took the text; it then has to say what the other says."""
    plain, whole = read_plain_yaml(text), read_any_yaml(text, "f")
    assert read_yaml(text, "f.yaml") == read_any_yaml(text, "f.yaml") or text.lstrip().startswith(("{", "//", "/*"))
    if plain is None:
        return False
    assert isinstance(whole, Document), whole
    quick = document_of(plain[0], Lines(plain[1]), "f")
    assert repr(quick.data) == repr(whole.data)  # 1 and True and 1.0 are equal, and not the same
    assert quick.lines.by_path == whole.lines.by_path
    assert quick.findings == whole.findings
    return True


@settings(deadline=None, max_examples=600)
@given(SOUP.map("".join))
@example("--- ")
@example("---\n\n    ")
@example("|-#")
@example("http://xa: 1\n...\n...\n")
@example("a: 1\na: 2\n")
@example('a: 1\n"a": 2\n')
@example("1: a\n'1': b\n")
def test_any_text_reads_the_same(text: str) -> None:
    agree(text)


@settings(deadline=None, max_examples=300)
@given(block(3).map("\n".join))
@example("a: 017\nb: 22:22\nc: on\nd: 1_000\n")
@example("a:\n  - x\n  - y: 1\n    z:\n")
def test_any_block_reads_the_same(text: str) -> None:
    agree(text)


@pytest.mark.skipif(not HAS_LIBYAML, reason="PyYAML came without libyaml")
@pytest.mark.parametrize("path", sorted((ROOT / "deployment-manifests" / "specs").glob("*.yaml")), ids=lambda p: p.name)
def test_the_samples_are_plainly_written(path: Path) -> None:
    assert agree(path.read_text(encoding="utf-8"))


@pytest.mark.skipif(not HAS_LIBYAML, reason="PyYAML came without libyaml")
def test_words_and_numbers_mean_what_yaml_1_2_says() -> None:
    text = "[22:22, on, yes, 017, 1.0, null, ~, True, '1', 10.0.0.1]"
    plain = read_plain_yaml(text)
    assert plain is not None
    assert plain[0] == ["22:22", "on", "yes", 17, 1.0, None, None, True, "1", "10.0.0.1"]
    assert json.dumps(plain[0][3:5]) == "[17, 1.0]"


@pytest.mark.parametrize(
    "text", ["a: &x 1", "a: !t 1", "a: 0x1F", "a: 2001-01-01", "a: |\n  b\n", "a: 1\na: 2", "a: [", ""]
)
def test_what_is_not_plain_is_left_to_the_other(text: str) -> None:
    assert read_plain_yaml(text) is None
    assert isinstance(read_yaml(text, "f.yaml"), Document | Finding)


@pytest.mark.parametrize("text", ["? [[a]]\n: 1\n", "? [{a: b}]\n: 1\n", "? - {}\n: 1\n"])
def test_a_key_that_makes_no_sense_is_a_mistake_of_the_file(text: str) -> None:
    found = read_yaml(text, "f.yaml")
    assert isinstance(found, Finding)
    assert found.rule == "YamlSyntax"
