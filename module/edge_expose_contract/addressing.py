"""Addresses and address ranges, read the way MetalLB (0.12 and newer) reads them.

`ipaddress.ip_network()` alone would differ: it takes a bare address, netmasks and host masks, refuses host bits, and
keeps IPv4-mapped IPv6 as IPv6. Ranges that MetalLB accepts as empty (reversed ones in old versions, mixed families) are
always refused.
"""

from __future__ import annotations

import ipaddress
import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, total_ordering
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from edge_expose_contract.violations import RuleError, shown

_RANGE_HINT = "write START-END (both included) or a CIDR such as 10.1.2.0/28; one address is x-x or x/32"

Address = IPv4Address | IPv6Address


@lru_cache(maxsize=2048)  # a pass reads each address of each Service a dozen times
def parse_address(text: str) -> Address:
    """One IP address; an IPv4-mapped IPv6 address counts as IPv4, as it does for MetalLB. Raises RuleError."""
    try:
        # With a blank that is not ASCII the cluster would refuse it.
        address = ipaddress.ip_address(text.strip() if text.isascii() else text)
    except ValueError:
        raise RuleError(
            "InvalidAddress", f"{shown(text)} is not an IP address", "write one IPv4 or IPv6 address"
        ) from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise RuleError("InvalidAddress", f"{shown(text)} has a zone id", "leave out the part from %")
        return address.ipv4_mapped or address
    return address


@total_ordering
@dataclass(frozen=True, slots=True)
class AddressRange:
    """`first` to `last`, both included, of one family."""

    first: Address
    last: Address

    @property
    def version(self) -> int:
        return self.first.version

    @property
    def size(self) -> int:
        return int(self.last) - int(self.first) + 1

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, (IPv4Address, IPv6Address)) or address.version != self.version:
            return False
        return int(self.first) <= int(address) <= int(self.last)

    def __lt__(self, other: AddressRange) -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[int, int, int]:
        return (self.version, int(self.first), int(self.last))

    def overlaps(self, other: AddressRange) -> bool:
        return (
            self.version == other.version and int(self.first) <= int(other.last) and int(other.first) <= int(self.last)
        )

    def __iter__(self) -> Iterator[Address]:
        kind = type(self.first)
        return (kind(number) for number in range(int(self.first), int(self.last) + 1))

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def parse_range(text: str) -> AddressRange:
    """A range `A-B` (blanks around the ends are fine) or a CIDR (host bits are dropped). Raises RuleError."""
    if not isinstance(text, str):
        raise RuleError("InvalidRange", f"{shown(text)} is not a text", _RANGE_HINT)
    return _parse_dashed(text) if "-" in text else _parse_cidr(text)


def _parse_dashed(text: str) -> AddressRange:
    start_text, _, end_text = text.partition("-")
    start = _range_end(text, "start", start_text)
    end = _range_end(text, "end", end_text)
    if start.version != end.version:
        raise RuleError("MixedRange", f"range {shown(text)} mixes IPv4 and IPv6", "write one range for each family")
    if int(start) > int(end):
        raise RuleError(
            "ReversedRange", f"range {shown(text)} is reversed: {start} is after {end}", f"write {end}-{start}"
        )
    return AddressRange(start, end)


def _range_end(text: str, which: str, part: str) -> Address:
    try:
        return parse_address(part)
    except RuleError:
        raise RuleError(
            "InvalidRange", f"range {shown(text)} has an invalid {which} address {shown(part.strip())}", _RANGE_HINT
        ) from None


def _parse_cidr(text: str) -> AddressRange:
    if not text:
        raise RuleError("EmptyRange", "the range is empty", _RANGE_HINT)
    base, slash, length = text.partition("/")
    plain = base == base.strip() and slash and length.isascii() and length.isdigit() and str(int(length)) == length
    if not plain:
        raise RuleError("InvalidRange", f"{shown(text)} is neither a range nor a CIDR", _RANGE_HINT)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise RuleError("InvalidRange", f"{shown(text)} is not a CIDR", _RANGE_HINT) from None
    first, last = network.network_address, network.broadcast_address
    if isinstance(network, IPv6Network):
        mapped_first, mapped_last = network.network_address.ipv4_mapped, network.broadcast_address.ipv4_mapped
        if mapped_first is not None and mapped_last is not None:
            first, last = mapped_first, mapped_last
    return AddressRange(first, last)


@dataclass(frozen=True, slots=True)
class AddressSet:
    """Ranges in the order they were written; iterating gives every address in that order, as MetalLB hands them out."""

    ranges: tuple[AddressRange, ...] = ()

    @classmethod
    def parse(cls, texts: str | Iterable[str]) -> AddressSet:
        """One range or several; none, or two that overlap, is an error. Raises RuleError for the first bad one."""
        parts = [texts] if isinstance(texts, str) else list(texts)
        if not parts:
            raise RuleError("EmptyRange", "no range is given", _RANGE_HINT)
        ranges = tuple(parse_range(part) for part in parts)
        ordered = sorted(ranges)
        for left, right in itertools.pairwise(ordered):
            if left.overlaps(right):
                raise RuleError(
                    "OverlappingRanges", f"ranges {left} and {right} overlap", "keep each address in one range"
                )
        return cls(ranges)

    @classmethod
    def of(cls, ranges: Sequence[AddressRange]) -> AddressSet:
        return cls(tuple(ranges))

    @property
    def size(self) -> int:
        return sum(part.size for part in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __contains__(self, address: object) -> bool:
        return any(address in part for part in self.ranges)

    def __iter__(self) -> Iterator[Address]:
        for part in self.ranges:
            yield from part

    def overlaps(self, other: AddressSet) -> bool:
        return any(mine.overlaps(theirs) for mine in self.ranges for theirs in other.ranges)

    def merged(self) -> AddressSet:
        """The same addresses, each once, as the fewest ascending ranges."""
        result: list[AddressRange] = []
        for part in sorted(self.ranges):
            last = result[-1] if result else None
            if last is not None and last.version == part.version and int(part.first) <= int(last.last) + 1:
                result[-1] = AddressRange(last.first, max(last.last, part.last, key=int))
            else:
                result.append(part)
        return AddressSet(tuple(result))

    def intersection(self, other: AddressSet) -> AddressSet:
        """The addresses that both hold, in the order of this set; no address is walked, only ranges."""
        theirs = other.merged().ranges
        return AddressSet(tuple(common for part in self.ranges for common in _common(part, theirs)))

    def without(self, other: AddressSet) -> AddressSet:
        """The addresses that `other` does not hold, in the order of this set; no address is walked, only ranges."""
        theirs = other.merged().ranges
        return AddressSet(tuple(rest for part in self.ranges for rest in _rest(part, theirs)))

    def same_addresses(self, other: AddressSet) -> bool:
        return self.merged() == other.merged()

    def lowest_free(self, taken: Iterable[Address], version: int) -> Address | None:
        """The first address in written order that is not in `taken`, or None when every one is taken."""
        used = sorted(int(address) for address in set(taken) if address.version == version)
        for part in self.ranges:
            if part.version != version:
                continue
            number = int(part.first)
            place = bisect_right(used, number - 1)
            while place < len(used) and used[place] == number:
                number += 1
                place += 1
            if number <= int(part.last):
                return type(part.first)(number)
        return None

    def __str__(self) -> str:
        return ", ".join(str(part) for part in self.ranges)


def _common(part: AddressRange, ordered: Sequence[AddressRange]) -> Iterator[AddressRange]:
    """What `part` shares with each of `ordered`, which are ascending and apart."""
    place = bisect_left(ordered, (part.version, int(part.first)), key=lambda other: (other.version, int(other.last)))
    while place < len(ordered) and part.overlaps(ordered[place]):
        yield AddressRange(max(part.first, ordered[place].first, key=int), min(part.last, ordered[place].last, key=int))
        place += 1


def _rest(part: AddressRange, ordered: Sequence[AddressRange]) -> Iterator[AddressRange]:
    """What is left of `part` between those of `ordered`, which are ascending and apart."""
    kind, start = type(part.first), int(part.first)
    for hole in _common(part, ordered):
        if start < int(hole.first):
            yield AddressRange(kind(start), kind(int(hole.first) - 1))
        start = int(hole.last) + 1
    if start <= int(part.last):
        yield AddressRange(kind(start), part.last)


def parse_cidr(text: str) -> AddressRange:
    """A client network for `allowFrom`: a CIDR without host bits, its length as a plain number. Raises RuleError."""
    base, slash, length = text.strip().partition("/")
    try:
        # It reads netmasks, host masks and host bits too: what it makes of those is the cure.
        close = ipaddress.ip_network(text.strip() if text.isascii() else text, strict=False)
    except ValueError:
        hint = "write a CIDR such as 10.1.0.0/16"
        raise RuleError("InvalidCIDR", f"{shown(text)} is not a CIDR", hint) from None
    if not slash:
        raise RuleError("InvalidCIDR", f"{shown(text)} has no prefix length", f"write {close}")
    if length != str(close.prefixlen):
        raise RuleError("InvalidCIDR", f"{shown(text)} has no plain prefix length", f"write {close}")
    if ipaddress.ip_address(base) != close.network_address:
        raise RuleError("InvalidCIDR", f"{shown(text)} is not a CIDR", f"write {close}")
    return AddressRange(close.network_address, close.broadcast_address)
