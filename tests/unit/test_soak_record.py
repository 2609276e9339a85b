"""What a soak takes for a cause of a move: a check that is too strict stops it, one that is too lax finds nothing."""

from __future__ import annotations

from benchmarks.soak.record import Record
from edge_expose_contract.addressing import AddressSet

WIDE, NARROW = AddressSet.parse("127.0.0.10-127.0.0.39"), AddressSet.parse("127.0.0.10-127.0.0.16")


def record(address: str, pin: str) -> Record:
    """One exposure at an address, which was pinned elsewhere since."""
    found = Record()
    found.wish("e", {"ports": ["80"]})
    found.seen_at("e", address)
    found.wish("e", {"ports": ["80"], "address": pin})
    return found


def test_a_range_that_leaves_out_where_it_was_moves_an_exposure() -> None:
    found = record("127.0.0.20", "127.0.0.11")
    found.forget_outside(NARROW, WIDE)
    assert found.may_be_at("e", "")


def test_who_went_to_its_pin_loses_that_with_the_range() -> None:
    found = record("127.0.0.12", "127.0.0.35")
    found.forget_outside(NARROW, WIDE)
    assert found.may_be_at("e", "")
    assert found.moved_with_cause == 1


def test_who_could_never_go_to_its_pin_stays() -> None:
    found = record("127.0.0.12", "127.0.0.99")
    found.forget_outside(NARROW, WIDE)
    assert not found.may_be_at("e", "")
    assert found.may_be_at("e", "127.0.0.12")


def test_who_is_pinned_elsewhere_while_nobody_held_its_place_may_not_find_it_again() -> None:
    found = record("127.0.0.12", "127.0.0.12")
    found.unheld.add("e")
    found.wish("e", {"ports": ["80"], "address": "127.0.0.34"})
    found.wish("e", {"ports": ["80"]})
    assert found.may_be_at("e", "127.0.0.13")


def test_who_is_only_made_again_is_where_it_was() -> None:
    found = record("127.0.0.12", "127.0.0.12")
    found.unheld.add("e")
    found.wish("e", {"ports": ["81"]})
    assert not found.may_be_at("e", "127.0.0.13")
