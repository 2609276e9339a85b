"""The table of reasons: one row each, with values that fit a report."""

from __future__ import annotations

from edge_expose_contract.reason_table import MOST_VALUES, REASON_TABLE, VALUE_BYTES, values_for
from edge_expose_contract.reasons import REASONS


def test_every_reason_has_one_row() -> None:
    assert REASON_TABLE.keys() == REASONS


def test_every_row_says_what_it_means_and_what_to_try() -> None:
    for reason, row in REASON_TABLE.items():
        assert row.meaning.endswith("."), reason
        assert row.cure, reason
        assert not row.cure.endswith("."), reason


def test_a_row_names_few_values_and_each_once() -> None:
    for reason, row in REASON_TABLE.items():
        assert 0 < len(row.values) <= MOST_VALUES, reason
        assert len(set(row.values)) == len(row.values), reason
        assert all(name.isidentifier() for name in row.values), reason


def test_values_come_in_the_order_of_the_row_and_unknown_ones_are_empty() -> None:
    assert values_for("PortTaken", {"holder": "web/db", "port": 80}) == ("80", "", "web/db")


def test_what_a_row_does_not_name_is_left_out() -> None:
    assert values_for("NodeAddress", {"address": "10.0.0.1", "nodes": "10.0.0.1-2", "pool": "dmz"}) == (
        "10.0.0.1",
        "10.0.0.1-2",
    )


def test_a_long_value_is_cut_at_a_whole_character() -> None:
    (value,) = values_for("PoolInvalid", {"error": "ä" * 40})
    assert len(value.encode()) <= VALUE_BYTES
    assert value == "ä" * 30 + "…"


def test_a_value_that_just_fits_is_whole() -> None:
    assert values_for("PoolInvalid", {"error": "x" * VALUE_BYTES}) == ("x" * VALUE_BYTES,)
    assert values_for("PoolInvalid", {"error": "\ud800"}) == ("?",)
