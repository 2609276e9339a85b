"""Ranges as MetalLB reads them, and the allocator on top."""

from __future__ import annotations

import ipaddress

import pytest

from edge_expose_local.cluster.metallb.allocator import Allocator, Claim
from edge_expose_local.cluster.metallb.answers import Answers, Refused
from edge_expose_local.cluster.metallb.legacy_config import parse_config_map
from edge_expose_local.cluster.metallb.pools import ConfigError, Pool, Pools, parse_element, parse_objects

NEW, OLD = Answers("0.16.1"), Answers("0.10.3")


def said(refused: Refused, answers: Answers = NEW, **names: str) -> str:
    """A refusal in MetalLB's words."""
    return answers.text(refused.situation, **{**refused.values, **names})


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        pytest.param(
            "192.168.0.150-192.168.0.200",
            ["192.168.0.150/31", "192.168.0.152/29", "192.168.0.160/27", "192.168.0.192/29", "192.168.0.200/32"],
            id="a range becomes its minimal ascending CIDRs",
        ),
        pytest.param("1.2.3.77/24", ["1.2.3.0/24"], id="host bits are dropped in silence"),
        pytest.param(" 1.2.3.4 - 1.2.3.4 ", ["1.2.3.4/32"], id="blanks around the ends of a range are fine"),
        pytest.param("fc00::1-fc00::4", ["fc00::1/128", "fc00::2/127", "fc00::4/128"], id="IPv6 works alike"),
        pytest.param("::ffff:1.2.3.0/120", ["1.2.3.0/24"], id="mapped IPv6 is IPv4"),
        pytest.param("1.2.3.4-fc00::1", [], id="a mixed range holds nothing"),
    ],
)
def test_an_element_is_read(text: str, networks: list[str]) -> None:
    assert [str(n) for n in parse_element(text, legacy=False)] == networks


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("1.2.3.4", 'invalid CIDR "1.2.3.4"', id="a bare address is an error"),
        pytest.param(" 10.0.0.0/8", 'invalid CIDR " 10.0.0.0/8"', id="a CIDR is not trimmed"),
        pytest.param("1.2.3.0/33", 'invalid CIDR "1.2.3.0/33"', id="a mask has 32 bits"),
        pytest.param("1.2.3.4-5", 'invalid IP range "1.2.3.4-5": invalid end IP "5"', id="a short end is no address"),
        pytest.param("-", 'invalid IP range "-": invalid start IP ""', id="a dash alone has no start"),
        pytest.param(
            "1.2.3.10-1.2.3.1",
            'invalid IP range "1.2.3.10-1.2.3.1": start IP "1.2.3.10" is after the end IP "1.2.3.1"',
            id="a reversed range is an error in the new version",
        ),
    ],
)
def test_a_bad_element_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_element(text, legacy=False)
    head = f'configuration error: parsing address pool p: invalid CIDR "{text}" in pool "p": '
    assert said(caught.value, pool="p") == head + message


def test_the_old_version_takes_a_reversed_range_as_an_empty_one() -> None:
    assert parse_element("1.2.3.10-1.2.3.1", legacy=True) == []


def test_overlapping_pools_are_refused_by_name() -> None:
    objects = [
        {"metadata": {"name": name}, "spec": {"addresses": [text]}}
        for name, text in (("b", "10.0.0.4/32"), ("a", "10.0.0.0/24"))
    ]
    with pytest.raises(ConfigError) as caught:
        parse_objects(objects, {})
    overlap = 'CIDR "10.0.0.4/32" in pool "b" overlaps with already defined CIDR "10.0.0.0/24"'
    assert said(caught.value) == f"configuration error: {overlap}"


def test_an_unknown_key_makes_the_old_config_bad() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config_map("address-pools: []\ncolour: red\n")
    assert said(caught.value, OLD).endswith("line 2: field colour not found in type config.configFile")


def _claim(key: str, *ports: int, sharing: str = "", backend: str = "") -> Claim:
    return Claim(key, key.split("/")[0], (), tuple(("TCP", p) for p in ports), sharing, backend, "ipv4")


def _allocator(*ranges: str, legacy: bool = False) -> Allocator:
    networks = tuple(n for r in ranges for n in parse_element(r, legacy=legacy))
    allocator = Allocator(legacy=legacy)
    allocator.set_pools(Pools({"p": Pool("p", networks)}))
    return allocator


def test_addresses_are_given_in_listed_order_and_a_freed_one_is_next() -> None:
    allocator = _allocator("10.0.0.200-10.0.0.201", "10.0.0.100-10.0.0.101")
    given = [str(allocator.allocate(_claim(f"n/{i}", 80))[0]) for i in range(4)]
    assert given == ["10.0.0.200", "10.0.0.201", "10.0.0.100", "10.0.0.101"]
    allocator.unassign("n/1")
    assert str(allocator.allocate(_claim("n/9", 80))[0]) == "10.0.0.201"


def test_sharing_needs_equal_keys_equal_backends_and_disjoint_ports() -> None:
    ip = ipaddress.ip_address("10.0.0.1")
    allocator = _allocator("10.0.0.1/32")
    allocator.assign(_claim("n/a", 80, sharing="k"), [ip])
    allocator.assign(_claim("m/b", 81, sharing="k"), [ip])
    for claim, text in (
        (_claim("n/c", 80, sharing="k"), 'port TCP/80 is already in use on "10.0.0.1"'),
        (_claim("n/c", 82), 'can\'t change sharing key for "n/c", address also in use by m/b,n/a'),
        (
            _claim("n/c", 82, sharing="k", backend="x"),
            'can\'t change sharing key for "n/c", address also in use by m/b,n/a',
        ),
    ):
        with pytest.raises(Refused) as caught:
            allocator.assign(claim, [ip])
        head = 'Failed to allocate IP for "n/c": '
        assert said(caught.value, namespace="n", name="c") == head + text


def test_the_old_version_refuses_a_pool_that_uncovers_a_held_address() -> None:
    allocator = _allocator("10.0.0.1/32", legacy=True)
    allocator.allocate(_claim("n/a", 80))
    with pytest.raises(Refused) as caught:
        allocator.set_pools(Pools({"p": Pool("p", (ipaddress.ip_network("10.0.0.2/32"),))}))
    assert 'service "n/a" cannot own "10.0.0.1" under new config' in said(caught.value, OLD)


def test_buggy_addresses_are_skipped_when_asked() -> None:
    allocator = Allocator(legacy=False)
    allocator.set_pools(Pools({"p": Pool("p", (ipaddress.ip_network("10.0.0.0/30"),), avoid_buggy_ips=True)}))
    assert str(allocator.allocate(_claim("n/a", 80))[0]) == "10.0.0.1"
