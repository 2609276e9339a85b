"""The twin engine: merging, differences, versions, metadata and the limits of a twin."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_local.http import json_text
from edge_expose_local.hub.records import twin_rules
from edge_expose_local.hub.records.twins import Section, Twin, difference, merge

MERGES = {
    "a new key is added": ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    "null deletes": ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    "deleting what is not there changes nothing": ({"a": 1}, {"x": None}, {"a": 1}),
    "the last leaf leaves an empty object": ({"a": {"b": 1}}, {"a": {"b": None}}, {"a": {}}),
    "objects merge": ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
    "arrays are replaced whole": ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    "an object replaces a scalar": ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
}


@pytest.mark.parametrize(("old", "patch", "new"), MERGES.values(), ids=MERGES.keys())
def test_merge(old: Any, patch: Any, new: Any) -> None:
    assert merge(old, patch) == new


DOCUMENTS = st.dictionaries(
    st.text("abc", min_size=1, max_size=2),
    st.recursive(
        st.integers(-3, 3) | st.booleans() | st.just("x") | st.lists(st.integers(0, 1), max_size=2),
        lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(DOCUMENTS, DOCUMENTS)
def test_the_difference_leads_from_the_old_document_to_the_new_one(old: Any, new: Any) -> None:
    assert json_text.json.dumps(merge(old, difference(old, new)), sort_keys=True) == json_text.json.dumps(
        new, sort_keys=True
    )


@given(DOCUMENTS)
def test_equal_documents_have_an_empty_difference(document: Any) -> None:
    assert difference(document, document) == {}


def test_replace_sends_vanished_keys_as_null() -> None:
    section = Section({"a": 1, "b": 2})
    assert section.replace({"a": 1, "c": 3}, "now") == {"b": None, "c": 3}
    assert (section.value, section.version) == ({"a": 1, "c": 3}, 2)


def test_true_and_one_are_different_values() -> None:
    assert difference({"a": 1}, {"a": True}) == {"a": True}


def test_metadata_names_time_and_version_of_each_node() -> None:
    section = Section()
    section.patch({"a": {"b": 1}}, "first", True)
    section.patch({"c": 1}, "second", True)
    assert section.meta["a"]["b"] == {"$lastUpdated": "first", "$lastUpdatedVersion": 2}
    assert section.meta["$lastUpdated"] == "second"
    section.patch({"a": None}, "third", True)
    assert "a" not in section.meta


def test_etag_is_eight_bytes_in_base64_and_moves_with_writes() -> None:
    twin = Twin()
    assert twin.etag == "AAAAAAAAAAE="
    twin.moved()
    assert twin.etag == "AAAAAAAAAAI="


def test_twin_comes_back_from_its_record() -> None:
    twin = Twin(tags={"site": "north"}, configurations={"c": {"status": "Applied"}})
    twin.desired.patch({"a": 1}, "now", True)
    assert Twin.from_json(twin.to_json()) == twin


def nested(levels: int, leaf: Any = "x") -> Any:
    document = leaf
    for _ in range(levels):
        document = {"k": document}
    return document


ALLOWED = {
    "ten nested objects with a value in the tenth": nested(11),
    "a key that is empty": {"": 1},
    "a key beyond ASCII": {"größe": 1},
    "the largest integer": {"a": 4503599627370495},
    "a string of 4096 bytes": {"a": "x" * 4096},
    "null deletes": {"a": {"b": None}},
    "an array of objects": {"a": [{"b": 1}, []]},
}
REFUSED = {
    "eleven nested objects": (nested(12), "deeper"),
    "a dot in a key": ({"a": {"x.y": 1}}, "x.y"),
    "a dollar in a key": ({"a$": 1}, "a$"),
    "a hash in a key": ({"a#": 1}, "a#"),
    "a space in a key": ({"a b": 1}, "a b"),
    "a control character in a key": ({"a\x01": 1}, "control"),
    "a key of 1025 bytes": ({"k" * 1025: 1}, "1024"),
    "a string of 4097 bytes": ({"a": "x" * 4097}, "4096"),
    "an integer that is too large": ({"a": 4503599627370496}, "range"),
    "null in an array": ({"a": [1, None]}, "null inside an array"),
    "null in an object in an array": ({"a": [{"b": None}]}, "null inside an array"),
}


@pytest.mark.parametrize("document", ALLOWED.values(), ids=ALLOWED.keys())
def test_allowed_documents(document: Any) -> None:
    assert twin_rules.problem(document) is None


@pytest.mark.parametrize(("document", "word"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_documents_say_why(document: Any, word: str) -> None:
    assert word in (twin_rules.problem(document) or "")


def test_size_counts_keys_and_values() -> None:
    assert twin_rules.size({"ab": 1, "c": True, "d": "xyz\x07", "e": [1, "q"], "f": {"g": None}}) == 31


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', '"\\ud800"', "[" * 100_000, "{", ""])
def test_what_no_twin_can_hold_is_no_json(text: str) -> None:
    with pytest.raises(ValueError):
        json_text.loads(text)
