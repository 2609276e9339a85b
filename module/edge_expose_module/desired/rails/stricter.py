"""Of two rails on one thing, the one that both allow. Neither is None: None said nothing."""

from __future__ import annotations

from typing import TypeVar

from edge_expose_contract.addressing import AddressRange, AddressSet

T = TypeVar("T")


def both(first: bool, second: bool) -> bool:
    return first and second


def in_common(first: frozenset[str], second: frozenset[str]) -> frozenset[str]:
    return first & second


def smaller(first: int, second: int) -> int:
    return min(first, second)


def layers(first: tuple[T, ...], second: tuple[T, ...]) -> tuple[T, ...]:
    """Each is asked in turn, and all must allow."""
    return first + second


def overlap(first: tuple[tuple[int, int], ...], second: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    pairs = ((max(a, c), min(b, d)) for a, b in first for c, d in second)
    return tuple(pair for pair in pairs if pair[0] <= pair[1])


def addresses(first: AddressSet, second: AddressSet) -> AddressSet:
    return first.intersection(second)


def networks(first: tuple[AddressRange, ...], second: tuple[AddressRange, ...]) -> tuple[AddressRange, ...]:
    return AddressSet(first).intersection(AddressSet(second)).ranges
