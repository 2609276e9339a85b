"""`change` says who wrote a document: optional, bounded, and never a reason to refuse anything."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.models import AUTHOR_BYTES, NOTE_BYTES, Change
from edge_expose_contract.parsing import DesiredDocument, parse_desired

AT = "2026-11-22T04:00:00Z"


def parse(change: object) -> DesiredDocument:
    parsed = parse_desired({"schemaVersion": "1.0", "exposures": {}, "change": change})
    assert isinstance(parsed, DesiredDocument)
    return parsed


def test_it_is_read_and_warns_of_nothing() -> None:
    found = parse({"by": "alice", "at": AT, "note": "ticket 7"})
    assert found.change == Change(by="alice", at=AT, note="ticket 7")
    assert found.warnings == ()


def test_a_note_may_be_missing() -> None:
    assert parse({"by": "alice", "at": AT}).change == Change(by="alice", at=AT, note="")


def test_a_document_without_it_is_as_good() -> None:
    parsed = parse_desired({"schemaVersion": "1.0", "exposures": {}})
    assert isinstance(parsed, DesiredDocument)
    assert (parsed.change, parsed.warnings) == (None, ())


def test_what_a_newer_cloud_adds_to_it_is_passed_over() -> None:
    found = parse({"by": "alice", "at": AT, "tool": "2.0"})
    assert found.change is not None
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        pytest.param({"at": AT}, "change.by", id="nobody"),
        pytest.param({"by": "", "at": AT}, "change.by", id="an empty name"),
        pytest.param({"by": "a"}, "change.at", id="no time"),
        pytest.param({"by": "a", "at": "yesterday"}, "change.at", id="no such time"),
        pytest.param({"by": "a", "at": "2026-11-22T04:00:00"}, "change.at", id="a time without a zone"),
        pytest.param({"by": "a" * (AUTHOR_BYTES + 1), "at": AT}, "change.by", id="a long name"),
        pytest.param({"by": "a", "at": AT, "note": "ä" * (NOTE_BYTES // 2 + 1)}, "change.note", id="a long note"),
        pytest.param({"by": 7, "at": AT}, "change.by", id="a number"),
        pytest.param("alice", "change", id="no object"),
        pytest.param({"by": "\ud800", "at": AT}, "change", id="half a character"),
    ],
)
def test_one_that_makes_no_sense_is_warned_of_and_left_out(change: object, where: str) -> None:
    found = parse(change)
    assert found.change is None
    assert [warning.path for warning in found.warnings] == [where]


def test_the_longest_that_fits_is_taken() -> None:
    longest: dict[str, Any] = {"by": "a" * AUTHOR_BYTES, "at": AT, "note": "ä" * (NOTE_BYTES // 2)}
    assert parse(longest).change is not None
