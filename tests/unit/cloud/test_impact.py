"""What a change means for people: the same sentences for every door, from Services and manifests before and after."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_expose_cloud.plan.manifest_impact import manifest_impact
from edge_expose_cloud.plan.service_forecast import Surroundings, predicted_services
from edge_expose_cloud.plan.service_impact import service_impact
from edge_expose_contract.parsing import parse_exposure

HELD = "10.0.0.11"


def impact(before: dict[str, Any], after: dict[str, Any], held: dict[str, str]) -> list[str]:
    around = Surroundings("shop", held)
    then = predicted_services({name: made(name, body) for name, body in before.items()}, around)
    next_ = predicted_services({name: made(name, body) for name, body in after.items()}, around)
    return [item.text for item in service_impact(then, next_, held)]


def made(name: str, body: dict[str, Any]) -> Any:
    exposure, violations = parse_exposure(name, {"module": "m", "ports": ["8080:80"], **body})
    assert exposure is not None, violations
    return exposure


ROWS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "what changes nothing that people notice is silent": (
        {"web": {}},
        {"web": {"probe": "tcp"}},
        [],
    ),
    "an exposure that goes takes its ports, its names and its address along": (
        {"web": {"hostname": "web.example.com"}},
        {},
        [
            "10.0.0.11:8080/tcp stops answering for everyone",
            "the name web.shop.svc.cluster.local no longer resolves in the cluster",
            "web.example.com loses its DNS record",
            "10.0.0.11 is released and may be assigned to another Service",
        ],
    ),
    "a port that goes stops answering those who could reach it": (
        {"web": {"ports": ["8080:80", "8443:443"], "allowFrom": ["10.1.0.0/16"]}},
        {"web": {"ports": ["8443:443"], "allowFrom": ["10.1.0.0/16"]}},
        ["10.0.0.11:8080/tcp stops answering for clients in 10.1.0.0/16"],
    ),
    "an address that moves is named with where it goes": (
        {"web": {}},
        {"web": {"address": "10.0.0.15"}},
        [
            "web moves from 10.0.0.11 to 10.0.0.15: its clients have to connect to 10.0.0.15",
            "10.0.0.11:8080/tcp stops answering for everyone",
            "10.0.0.11 is released and may be assigned to another Service",
        ],
    ),
    "an exposure that is turned into one of the cluster is gone outside": (
        {"web": {}},
        {"web": {"type": "ClusterIP"}},
        [
            "10.0.0.11:8080/tcp stops answering for everyone",
            "10.0.0.11 is released and may be assigned to another Service",
        ],
    ),
    "a restriction that is dropped opens to everyone": (
        {"web": {"allowFrom": ["10.1.0.0/16"]}},
        {"web": {}},
        ["web is open to everyone who reaches the device at 10.0.0.11"],
    ),
    "a restriction that is new closes to the others": (
        {"web": {}},
        {"web": {"allowFrom": ["10.1.0.0/16"]}},
        ["web answers only clients in 10.1.0.0/16"],
    ),
    "a network that is left out of the restriction is named": (
        {"web": {"allowFrom": ["10.1.0.0/16", "10.2.0.0/16"]}},
        {"web": {"allowFrom": ["10.2.0.0/16"]}},
        ["web no longer answers every client in 10.1.0.0/16"],
    ),
    "a restriction to everybody is none": (
        {"web": {"allowFrom": ["10.0.0.0/8"]}},
        {"web": {"allowFrom": ["0.0.0.0/1", "128.0.0.0/1"]}},
        ["web is open to everyone who reaches the device at 10.0.0.11"],
    ),
    "a restriction to everybody that is dropped changes nothing": (
        {"web": {"allowFrom": ["0.0.0.0/0"]}},
        {"web": {}},
        [],
    ),
    "a wider network loses nobody, and is told": (
        {"web": {"allowFrom": ["10.1.0.0/16", "10.2.0.0/16"]}},
        {"web": {"allowFrom": ["10.0.0.0/8"]}},
        ["web also answers clients in 10.0.0.0/8"],
    ),
    "a network in two halves is the same network": (
        {"web": {"allowFrom": ["10.2.0.0/16"]}},
        {"web": {"allowFrom": ["10.2.0.0/17", "10.2.128.0/17"]}},
        [],
    ),
    "traffic that goes to another module is told": (
        {"web": {}},
        {"web": {"module": "other"}},
        ["web is answered by the module other instead of the module m"],
    ),
    "a port in the app that changes is told": (
        {"web": {}},
        {"web": {"ports": ["8080:81"]}},
        ["port 8080/tcp of web reaches port 81 of the app instead of 80"],
    ),
    "a port inside the cluster that goes is told": (
        {"db": {"type": "ClusterIP", "ports": ["5432", "5433"]}},
        {"db": {"type": "ClusterIP", "ports": ["5432"]}},
        ["port 5433/tcp of db stops answering inside the cluster"],
    ),
    "a Service that moves to another namespace keeps its address, and opens nothing": (
        {"web": {}},
        {"web": {"namespace": "other"}},
        [
            "the Service web is deleted and made again: open connections break",
            "the name web.shop.svc.cluster.local no longer resolves in the cluster; web.other.svc.cluster.local does",
        ],
    ),
    "a load balancer class cannot change in place": (
        {"web": {}},
        {"web": {"loadBalancerClass": "example.com/lb"}},
        ["the Service web is deleted and made again: open connections break"],
    ),
    "a new port of an open exposure opens it": (
        {"web": {}},
        {"web": {"ports": ["8080:80", "2222:80"]}},
        ["web opens 2222/tcp to everyone who reaches the device at 10.0.0.11"],
    ),
    "a new exposure without a restriction is open to everyone": (
        {},
        {"new": {}},
        ["new is open to everyone who reaches the device"],
    ),
    "a new exposure with a restriction, or inside the cluster, opens nothing": (
        {},
        {"new": {"allowFrom": ["10.1.0.0/16"]}, "inside": {"type": "ClusterIP"}},
        [],
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_people_are_told(row: str) -> None:
    before, after, expected = ROWS[row]
    assert impact(before, after, {"web": HELD}) == expected


def test_an_address_that_somebody_still_uses_is_not_free() -> None:
    shared = {"share": "k"}
    before = {"web": shared, "api": {**shared, "ports": ["9090:90"]}}
    found = impact(before, {"api": before["api"]}, {"web": HELD, "api": HELD})
    assert "10.0.0.11 stays in use by api" in found


def test_an_endpoint_that_another_exposure_answers_is_not_lost() -> None:
    found = impact({"web": {}}, {"shop": {"address": HELD}}, {"web": HELD})
    assert "10.0.0.11:8080/tcp is answered by shop instead" in found
    assert not any("stops answering" in text for text in found)


def test_what_is_not_reported_yet_is_taken_at_its_word() -> None:
    found = impact({"web": {"address": HELD}}, {}, {})
    assert "10.0.0.11:8080/tcp stops answering for everyone" in found
    found = impact({"web": {"address": HELD}}, {}, {"web": ""})
    assert not any("stops answering" in text for text in found), "it is blocked: nothing answers there"


def test_what_never_had_an_address_stops_nothing() -> None:
    assert impact({"web": {}}, {}, {}) == ["the name web.shop.svc.cluster.local no longer resolves in the cluster"]


def test_what_goes_on_with_others_is_no_part_of_a_change() -> None:
    """`web` has asked for another address before, and has not been given it yet."""
    before = {"web": {"address": "10.0.0.15"}}
    found = impact(before, {**before, "db": {"type": "ClusterIP"}}, {"web": HELD})
    assert found == []


def fleet_impact(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    around = Surroundings()
    then = predicted_services({name: made(name, body) for name, body in before.items()}, around)
    next_ = predicted_services({name: made(name, body) for name, body in after.items()}, around)
    return [item.text for item in service_impact(then, next_)]


def test_on_many_devices_a_port_stops_wherever_the_exposure_is() -> None:
    two = {"web": {"ports": ["8080:80", "8443:443"]}}
    assert fleet_impact(two, {"web": {"ports": ["8443:443"]}}) == ["port 8080/tcp of web stops answering for everyone"]
    assert fleet_impact(two, {"web": {"ports": ["8443:443"], "address": HELD}}) == [
        f"web moves to {HELD} wherever it has another address: its clients have to connect there",
        "port 8080/tcp of web stops answering for everyone",
    ]
    assert fleet_impact({"web": {}}, {"web": {"probe": "tcp"}}) == []
    assert fleet_impact({"web": {}, "api": {}}, {"api": {}}) == ["port 8080/tcp of web stops answering for everyone"]


def module(ports: dict[str, str]) -> dict[str, Any]:
    bindings = {target: [{"HostPort": port}] for target, port in ports.items()}
    return {"settings": {"image": "i", "createOptions": json.dumps({"HostConfig": {"PortBindings": bindings}})}}


def manifest(modules: dict[str, Any], registries: dict[str, str], routes: list[str]) -> dict[str, Any]:
    credentials = {name: {"address": address, "username": "u", "password": "p"} for name, address in registries.items()}
    agent = {"runtime": {"settings": {"registryCredentials": credentials}}, "modules": modules}
    return {
        "$edgeAgent": agent,
        "$edgeHub": {"routes": {name: f"FROM /messages/{name[:1]} INTO $upstream" for name in routes}},
    }


def test_modules_ports_registries_and_routes_that_go_are_named() -> None:
    before = manifest(
        {"a": module({"80/tcp": "8080", "53/udp": "53"}), "b": {}}, {"acme": "r.example.com"}, ["up", "x"]
    )
    after = manifest({"a": module({"53/udp": "53"})}, {}, ["up"])
    assert [item.text for item in manifest_impact(before, after)] == [
        "the module b is removed from the device",
        "the module a restarts: its createOptions change",
        "the module a no longer publishes 80/tcp (port 8080) on the device",
        "the device forgets the credentials of the registry acme (r.example.com)",
        "the route x is removed: its messages go nowhere",
    ]
    assert manifest_impact(before, before) == ()


def test_a_route_or_registry_that_only_gets_another_name_goes_on() -> None:
    before = manifest({}, {"acme": "r.example.com"}, ["up"])
    assert manifest_impact(before, manifest({}, {"other": "r.example.com"}, ["upstream"])) == ()
    changed = {**before, "$edgeHub": {"routes": {"up": "FROM /* INTO $other"}}}
    assert [item.kind for item in manifest_impact(before, changed)] == ["route"]


def test_a_manifest_that_does_not_write_a_twin_leaves_it_alone() -> None:
    before = manifest({"a": {}}, {}, ["up"])
    assert manifest_impact(before, {"edge-expose": {}}) == ()


def test_a_module_that_is_stopped_serves_nothing() -> None:
    before = manifest({"a": {"status": "running"}, "b": {}, "c": {"status": "stopped"}}, {}, [])
    after = manifest({"a": {"status": "stopped"}, "b": {"status": "running"}, "c": {"status": "stopped"}}, {}, [])
    assert [item.text for item in manifest_impact(before, after)] == [
        "the module a is stopped: nothing that it serves answers"
    ]


def test_a_document_that_is_cleared_is_told() -> None:
    before = {"db": {"size": 1, "place": "x"}, "edge-expose": {"exposures": {}}}
    assert [item.text for item in manifest_impact(before, {"db": {}, "edge-expose": {}})] == [
        "the desired properties of the module db are cleared: place, size"
    ]
    assert [item.text for item in manifest_impact(before, {"db": {"size": 2}})] == [
        "the module db loses its desired properties place"
    ]
    assert manifest_impact(before, {"db": {"size": 2, "place": "y"}}) == ()
