"""What is worked out once for many devices is what each of them alone would get."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_expose_cloud.spec.capacity import address_groups, capacity, pool_of
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.load import SpecReader, spec_from_data
from edge_expose_cloud.spec.model import Network
from edge_expose_cloud.spec.text.documents import Document, Lines
from edge_expose_contract.addressing import Address, AddressRange, AddressSet
from edge_expose_contract.models import Exposure

RANGES: list[dict[str, Any]] = [
    {"externalServiceIPs": "10.0.0.10-10.0.0.14", "nodeIPs": "10.0.0.1-10.0.0.2"},
    {"externalServiceIPs": ["10.0.0.10-10.0.0.11", "fd00::1-fd00::2"], "reserved": {"edgehub": "10.0.0.10"}},
    {
        "externalServiceIPs": ["10.0.0.20-10.0.0.21", "10.0.0.10-10.0.0.11"],
        "pools": {"dmz": ["10.0.0.11-10.0.0.12", "fd00::1-fd00::1"], "out": "10.0.0.20-10.0.0.20"},
        "reserved": {"edgehub": "10.0.0.12"},
    },
    {"pools": {"dmz": "10.0.0.11-10.0.0.12"}, "nodeIPs": "10.0.0.12-10.0.0.14"},
    {"nodeIPs": "10.0.0.1-10.0.0.2", "namespace": "ns"},
]

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "pool": st.sampled_from(["dmz", "out", "none"]),
        "share": st.sampled_from(["k", "l"]),
        "address": st.sampled_from(["10.0.0.11", "10.0.0.12", "10.0.0.21", "10.9.9.9", "10.0.0.11,fd00::1"]),
        "ipFamilyPolicy": st.sampled_from(["PreferDualStack", "RequireDualStack"]),
        "enabled": st.just(False),
    },
)
WISHES = st.lists(FIELDS, max_size=9)


def exposures_of(wishes: list[dict[str, Any]]) -> dict[str, Exposure]:
    return {
        f"e{number}": Exposure.model_validate({"module": "web", "ports": [8000 + number], **fields})
        for number, fields in enumerate(wishes)
    }


def lowest_first(network: Network, exposures: dict[str, Exposure]) -> tuple[int, str | None]:
    """Free addresses and the first exposure without one in the external range, by looking at each address anew."""
    nobody = AddressSet.of([*network.nodes.ranges, *(AddressRange(one, one) for one in network.reserved_addresses)])
    groups = address_groups(network, exposures)
    taken: set[Address] = {address for group in groups for address in group.addresses}
    left_over: str | None = None
    for group in groups:
        pool = network.external if group.pool is None else network.named_pools.get(group.pool)
        if group.addresses or not pool:
            continue
        found = [
            next((one for one in pool if one.version == version and one not in taken and one not in nobody), None)
            for version in group.versions
        ]
        if None not in found:
            taken.update(one for one in found if one is not None)
        elif group.pool is None:
            left_over = left_over or group.exposures[0]
    return sum(1 for one in network.external if one not in taken and one not in nobody), left_over


@settings(deadline=None)
@given(WISHES, st.sampled_from(RANGES))
def test_addresses_are_counted_as_if_each_were_looked_for_from_the_start(
    wishes: list[dict[str, Any]], ranges: dict[str, Any]
) -> None:
    network, exposures = Network.model_validate(ranges), exposures_of(wishes)
    report = capacity(network, exposures)
    assert (report.free, report.overflow) == lowest_first(network, exposures)
    mine = [group for group in address_groups(network, exposures) if group.pool is None]
    assert report.needed == sum(len(group.versions) for group in mine)


def test_a_pool_of_millions_is_not_walked() -> None:
    network = Network.model_validate({"externalServiceIPs": ["10.0.0.0/8", "fd00::/64"]})
    report = capacity(network, exposures_of([{"ipFamilyPolicy": "PreferDualStack"}] * 9))
    assert (report.needed, report.free) == (18, 2**24 + 2**64 - 18)
    assert pool_of(network, exposures_of([{}])["e0"]) is not None


def document(exposures: list[dict[str, Any]], **more: Any) -> Document:
    data = {
        "schemaVersion": "1.0",
        "name": "app",
        "target": {"device": "${deviceId}"},
        "modules": {"web": {"image": "a/web:${tag}"}, "db": {"image": "a/db:1"}},
        "routes": {"up": "FROM /messages/modules/${route}/* INTO $upstream"},
        "registries": {"r": {"address": "r.example", "username": "u", "password": "${password}"}},
        "exposures": {f"e{number}": {"module": "web", "ports": [8000], **it} for number, it in enumerate(exposures)},
        **more,
    }
    return Document(data, Lines(), "s.yaml")


VALUES = st.fixed_dictionaries(
    {
        "tag": st.sampled_from(["1", "latest", "a b"]),
        "route": st.sampled_from(["web", "gone"]),
        "password": st.sampled_from(["${env:SECRET}", "hunter2"]),
        "pin": st.sampled_from(["10.0.0.11", "10.9.9.9", "no address"]),
        "port": st.sampled_from([80, 35000, "x"]),
    }
)
MOVING = st.one_of(
    FIELDS,
    st.just({"address": "${pin}"}),
    st.just({"ports": ["${port}"]}),
    st.just({"module": "${route}"}),
    st.just({"hostname": "${deviceId}.example.com"}),
    st.just({"pool": "${unknown}"}),
)


@settings(deadline=None)
@given(
    st.lists(MOVING, max_size=5),
    st.lists(st.tuples(VALUES, st.sampled_from([None, *RANGES])), min_size=2, max_size=4),
    st.sampled_from(
        [
            {},
            {"driver": "manifest"},
            {"network": RANGES[0]},
            {"labels": {"site": 1}},
            {"name": "${tag}"},
            {"addEdgeHub": False},
        ]
    ),
)
def test_a_spec_read_for_many_devices_is_the_spec_of_each(
    exposures: list[dict[str, Any]], devices: list[tuple[dict[str, Any], Any]], more: dict[str, Any]
) -> None:
    inventory = Inventory.model_validate(
        {
            "devices": {
                f"d{number}": {"variables": variables, **({"network": network} if network else {})}
                for number, (variables, network) in enumerate(devices)
            }
        }
    )
    source = document(exposures, **more)
    reader = SpecReader(source, inventory)
    for device in [*inventory.devices, "d0", "stranger"]:
        together, alone = reader.read(device), spec_from_data(source, inventory, device)
        assert together.findings == alone.findings
        assert together.spec == alone.spec


@pytest.mark.parametrize("moving", [{}, {"hostname": "${deviceId}.example.com"}])
def test_exposures_that_stay_the_same_are_the_same_objects(moving: dict[str, Any]) -> None:
    variables = {"tag": "1", "route": "web", "password": "${env:S}"}
    inventory = Inventory.model_validate({"variables": variables, "devices": {"a": {}, "b": {}}})
    reader = SpecReader(document([{}, moving]), inventory)
    first, second = reader.read("a").spec, reader.read("b").spec
    assert first is not None
    assert second is not None
    assert first.exposures["e0"] is second.exposures["e0"]
    assert (first.exposures["e1"] is second.exposures["e1"]) == (not moving)
