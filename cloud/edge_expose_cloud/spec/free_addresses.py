"""Addresses of a range that are still free, as plain numbers: given out lowest first, without looking twice. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from edge_expose_contract.addressing import Address, AddressSet


class Taken:
    """The addresses that somebody has. They only become more."""

    def __init__(self, addresses: Iterable[Address] = ()) -> None:
        self.numbers: dict[int, set[int]] = {4: set(), 6: set()}
        for address in addresses:
            self.numbers[address.version].add(int(address))

    def count_in(self, addresses: AddressSet) -> int:
        """How many of them these ranges hold."""
        ordered = {version: sorted(numbers) for version, numbers in self.numbers.items() if numbers}
        return sum(
            bisect_right(numbers, int(part.last)) - bisect_left(numbers, int(part.first))
            for part in addresses.ranges
            if (numbers := ordered.get(part.version))
        )


class FreeAddresses:
    """The addresses of one family that nobody has, in written order. What was passed over is never looked at again:
    an address that is taken stays taken."""

    def __init__(self, addresses: AddressSet, version: int, taken: Taken) -> None:
        self._taken = taken.numbers[version]
        self._numbers = _each_number(addresses, version)
        self._next: int | None = None

    def first(self) -> int | None:
        """The first that is free, None when every one is taken."""
        number = self._next
        while number is None or number in self._taken:
            number = next(self._numbers, None)
            if number is None:
                break
        self._next = number
        return number

    def take(self) -> None:
        """Takes the first."""
        number = self.first()
        if number is not None:
            self._taken.add(number)


def take_together(sources: list[FreeAddresses], count: int) -> int:
    """Takes one address of each source, up to `count` times, and nothing once one of them has none left. How often."""
    for done in range(count):
        for source in sources:
            if source.first() is None:
                return done
        for source in sources:
            source.take()
    return count


def _each_number(addresses: AddressSet, version: int) -> Iterator[int]:
    for part in addresses.ranges:
        if part.version == version:
            yield from range(int(part.first), int(part.last) + 1)
