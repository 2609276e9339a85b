"""Ranges as MetalLB (0.12 and newer) reads them; rows from its own parser."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_contract.addressing import AddressRange, AddressSet, parse_address, parse_cidr, parse_range
from edge_expose_contract.violations import RuleError


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.168.0.150-192.168.0.200", "192.168.0.150", "192.168.0.200"),
        (" 1.2.3.4 - 1.2.3.9 ", "1.2.3.4", "1.2.3.9"),
        ("1.2.3.4-1.2.3.4", "1.2.3.4", "1.2.3.4"),
        ("1.2.3.77/24", "1.2.3.0", "1.2.3.255"),
        ("1.2.3.4/32", "1.2.3.4", "1.2.3.4"),
        ("fc00::1-fc00::4", "fc00::1", "fc00::4"),
        ("fc00::1/128", "fc00::1", "fc00::1"),
        ("::ffff:1.2.3.0/120", "1.2.3.0", "1.2.3.255"),
        ("::ffff:1.2.3.4-::ffff:1.2.3.9", "1.2.3.4", "1.2.3.9"),
    ],
)
def test_a_range_that_metallb_takes(text: str, first: str, last: str) -> None:
    found = parse_range(text)
    assert (str(found.first), str(found.last)) == (first, last)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("1.2.3.4", "InvalidRange"),
        ("", "EmptyRange"),
        ("10.0.0.0/8,11.0.0.0/8", "InvalidRange"),
        (" 10.0.0.0/8", "InvalidRange"),
        ("10.0.0.0/8 ", "InvalidRange"),
        ("1.2.3.0/33", "InvalidRange"),
        ("1.2.3.0/255.255.255.0", "InvalidRange"),
        ("1.2.3.0/024", "InvalidRange"),
        ("100.200.300.400/24", "InvalidRange"),
        ("1.2.3.4-5", "InvalidRange"),
        ("1.2.3.4-1.2.3.5-1.2.3.6", "InvalidRange"),
        ("1.2.3.4-", "InvalidRange"),
        ("-", "InvalidRange"),
        ("fe80::1%eth0-fe80::2", "InvalidRange"),
        ("1.2.3.10-1.2.3.1", "ReversedRange"),
        ("1.2.3.4-fc00::1", "MixedRange"),
        ("fc00::1-1.2.3.4", "MixedRange"),
        ("010.0.0.1/32", "InvalidRange"),
        ("a-b", "InvalidRange"),
    ],
)
def test_a_range_that_is_refused(text: str, rule: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_range(text)
    assert caught.value.rule == rule
    assert caught.value.hint


def test_a_set_keeps_the_written_order_and_finds_the_lowest_free_in_it() -> None:
    found = AddressSet.parse(["10.0.0.200-10.0.0.201", "10.0.0.100-10.0.0.101"])
    assert [str(address) for address in found] == ["10.0.0.200", "10.0.0.201", "10.0.0.100", "10.0.0.101"]
    assert str(found.lowest_free([parse_address("10.0.0.200")], 4)) == "10.0.0.201"
    assert found.lowest_free(list(found), 4) is None
    assert found.lowest_free([], 6) is None
    assert found.size == 4


@pytest.mark.parametrize(
    "texts", [["10.0.0.0/24", "10.0.0.5-10.0.0.6"], ["10.0.0.1-10.0.0.5", "10.0.0.5-10.0.0.9"], [], ["10.0.0.0/30"] * 2]
)
def test_ranges_that_overlap_or_are_none_are_refused(texts: list[str]) -> None:
    with pytest.raises(RuleError):
        AddressSet.parse(texts)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.1.0.5/16", "10.1.0.0/16"),
        ("10.1.0.5", "10.1.0.5/32"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("10.0.0.0/0.0.0.255", "10.0.0.0/24"),
        ("10.0.0.0/08", "10.0.0.0/8"),
        ("x", "CIDR"),
    ],
)
def test_a_client_network_has_no_host_bits_and_a_length(text: str, hint: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_cidr(text)
    assert hint in caught.value.hint
    assert parse_cidr("10.0.0.0/8") == parse_cidr(" 10.0.0.0/8 ") == parse_range("10.0.0.0/8")


ADDRESSES = st.integers(0, 300).map(lambda n: ipaddress.IPv4Address(0x0A000000 + n))
RANGES = st.tuples(ADDRESSES, ADDRESSES).map(lambda pair: AddressRange(min(pair), max(pair)))


MIXED_ADDRESSES = st.one_of(ADDRESSES, st.integers(0, 60).map(lambda n: ipaddress.IPv6Address((0xFC << 120) + n)))
SETS = st.lists(
    st.tuples(MIXED_ADDRESSES, st.integers(0, 40)).map(lambda pair: AddressRange(pair[0], pair[0] + pair[1])),
    max_size=6,
).map(AddressSet.of)


@given(SETS)
def test_merging_keeps_exactly_the_addresses_each_once(some: AddressSet) -> None:
    result = some.merged()
    assert set(result) == set(some)
    assert result.size == len(set(some))
    assert list(result.ranges) == sorted(result.ranges)
    assert result.merged() == result


@given(SETS, SETS)
def test_an_intersection_holds_what_both_hold_and_the_rest_what_only_one_does(
    one: AddressSet, other: AddressSet
) -> None:
    assert set(one.intersection(other)) == set(one) & set(other)
    assert set(one.without(other)) == set(one) - set(other)


@given(SETS, SETS)
def test_set_arithmetic_keeps_the_written_order(one: AddressSet, other: AddressSet) -> None:
    kept = set(other)
    assert list(one.intersection(other)) == [address for address in one if address in kept]
    assert list(one.without(other)) == [address for address in one if address not in kept]


def test_set_arithmetic_walks_ranges_and_never_addresses() -> None:
    vast = AddressSet.parse(["fc00::/8", "10.0.0.0/8"])
    inside = AddressSet.parse(["fc00::5-fc00::9", "10.0.0.0-10.0.0.0"])
    assert vast.intersection(inside).ranges == inside.ranges
    assert vast.without(inside).size == vast.size - 6
    assert not inside.without(vast)
    assert not AddressSet().intersection(vast)
    assert vast.without(AddressSet()) == vast


@given(st.lists(RANGES, min_size=1, max_size=4), st.sets(ADDRESSES, max_size=60))
def test_the_lowest_free_address_is_the_first_that_is_not_taken(
    ranges: list[AddressRange], taken: set[ipaddress.IPv4Address]
) -> None:
    pool = AddressSet.of(ranges).merged()
    expected = next((address for address in pool if address not in taken), None)
    assert pool.lowest_free(taken, 4) == expected


@given(ADDRESSES, ADDRESSES)
def test_a_range_printed_is_read_back(a: ipaddress.IPv4Address, b: ipaddress.IPv4Address) -> None:
    part = AddressRange(min(a, b), max(a, b))
    assert parse_range(str(part)) == part
