"""Desired documents: what is accepted, what is refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.identity import Code
from edge_expose_contract.parsing import DesiredDocument, Refusal, parse_desired, parse_exposure
from edge_expose_contract.ports import beyond_document, parse_port
from edge_expose_contract.violations import RuleError

BASE: dict[str, Any] = {"module": "web", "ports": [80]}


def document(exposures: Any, **more: Any) -> dict[str, Any]:
    return {"schemaVersion": "1.0", "exposures": exposures, **more}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({}, Code.EMPTY),
        ({"$version": 4}, Code.EMPTY),
        ({"schemaVersion": "1.0"}, Code.EMPTY),
        ({"exposures": {}}, Code.EMPTY),
        ({"schemaVersion": "2.0", "exposures": {}}, Code.UNKNOWN_SCHEMA),
        ({"schemaVersion": 1, "exposures": {}}, Code.MALFORMED),
        ({"schemaVersion": "1", "exposures": {}}, Code.MALFORMED),
        ({"schemaVersion": "1.0", "exposures": []}, Code.MALFORMED),
        ({"schemaVersion": "1.0", "exposures": "x"}, Code.MALFORMED),
        ([], Code.MALFORMED),
        (None, Code.MALFORMED),
    ],
)
def test_a_document_refused_as_a_whole(content: Any, code: Code) -> None:
    result = parse_desired(content)
    assert isinstance(result, Refusal)
    assert result.code is code
    assert result.description


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.99"])
def test_a_later_minor_version_is_accepted(version: str) -> None:
    assert isinstance(parse_desired({"schemaVersion": version, "exposures": {}}), DesiredDocument)


def test_one_bad_exposure_does_not_spoil_the_others_and_all_its_faults_are_told() -> None:
    result = parse_desired(document({"good": BASE, "bad": {"ports": ["0", "5-3"], "address": "x", "type": "Foo"}}))
    assert isinstance(result, DesiredDocument)
    assert set(result.exposures) == {"good"}
    told = {(violation.path, violation.rule) for violation in result.invalid["bad"]}
    assert told == {
        ("exposures.bad.ports[0]", "InvalidPort"),
        ("exposures.bad.ports[1]", "ReversedPorts"),
        ("exposures.bad.address", "InvalidAddress"),
        ("exposures.bad.type", "InvalidValue"),
    }


def test_an_unknown_field_named_like_a_tag_of_a_union_spoils_nothing() -> None:
    port = {"port": 80, "#object": 1}
    wish = {"module": "web", "ports": [port], "#text": 1}
    parsed = parse_desired({"schemaVersion": "1.0", "exposures": {"w": wish}, "site": {"#": False}})
    assert isinstance(parsed, DesiredDocument)
    assert list(parsed.exposures) == ["w"]
    assert [item.path for item in parsed.warnings] == ["site.#", "exposures.w.ports[0].#object", "exposures.w.#text"]


def test_unknown_fields_are_warnings_in_a_twin_and_errors_in_a_spec() -> None:
    content = document({"a": {**BASE, "colour": "red", "ports": [{"port": 80, "x": 1}]}}, future={"y": 1})
    lenient = parse_desired(content)
    assert isinstance(lenient, DesiredDocument)
    assert {warning.path for warning in lenient.warnings} == {"future", "exposures.a.colour", "exposures.a.ports[0].x"}
    assert set(lenient.exposures) == {"a"}
    strict = parse_desired(content, unknown_is_error=True)
    assert isinstance(strict, DesiredDocument)
    assert {violation.rule for violation in strict.invalid["a"]} == {"UnknownField"}


def test_a_broken_site_is_told_and_the_exposures_stand() -> None:
    result = parse_desired(document({"a": BASE}, site={"externalServiceIPs": "10.0.0.9-10.0.0.1"}))
    assert isinstance(result, DesiredDocument)
    assert result.site is None
    assert [violation.rule for violation in result.site_violations] == ["ReversedRange"]
    assert set(result.exposures) == {"a"}


@pytest.mark.parametrize("name", ["1web", "Web", "a.b", "a_b", "", "-a", "a-", "x" * 60])
def test_a_name_that_no_service_can_have(name: str) -> None:
    _, violations = parse_exposure(name, BASE)
    assert [violation.rule for violation in violations] == ["InvalidName"]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"selector": ["a=b"]}, "OneTarget"),
        ({"module": None}, "OneTarget"),
        ({"type": "ClusterIP", "address": "10.0.0.1"}, "OnlyLoadBalancer"),
        ({"type": "ClusterIP", "share": "x"}, "OnlyLoadBalancer"),
        ({"type": "ClusterIP", "externalTrafficPolicy": "Local"}, "OnlyLoadBalancer"),
        ({"ports": []}, "InvalidValue"),
        ({"ports": [80, "80:8080"]}, "DuplicatePort"),
        ({"ports": [True]}, "InvalidPort"),
        ({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}, "DuplicatePortName"),
        ({"ports": ["1-2000"]}, "TooManyPorts"),
        ({"address": "10.0.0.1,10.0.0.2"}, "InvalidAddress"),
        ({"address": "10.0.0.1", "ipFamilies": ["IPv6"]}, "FamilyMismatch"),
        ({"allowFrom": ["10.0.0.1/8"]}, "InvalidCIDR"),
        ({"allowFrom": ["10.0.0.0/255.0.0.0"]}, "InvalidCIDR"),
        ({"allowFrom": ["10.0.0.0/0.0.0.255"]}, "InvalidCIDR"),
        ({"allowFrom": ["10.0.0.0/８"]}, "InvalidCIDR"),
        ({"allowFrom": ["\u300010.0.0.0/8"]}, "InvalidCIDR"),
        ({"address": "10.0.0.１"}, "InvalidAddress"),
        ({"ports": ["８０８０:80"]}, "InvalidPort"),
        ({"ports": ["80:８０"]}, "InvalidPortName"),
        ({"ports": ["80-８１"]}, "InvalidPort"),
        ({"ports": ["80/\u017fctp"]}, "InvalidProtocol"),
        ({"ports": [{"port": "８０"}]}, "InvalidValue"),
        ({"ports": [{"port": 80, "targetPort": "８０"}]}, "InvalidPortName"),
        ({"expires": "２030-01-01T00:00:00Z"}, "InvalidTime"),
        ({"labels": ["a=１"]}, "InvalidLabelValue"),
        ({"annotations": ["\u212aube-vip.io/x=1"]}, "InvalidKey"),
        ({"hostname": "Web.Example"}, "InvalidHostname"),
        ({"labels": ["novalue"]}, "InvalidPair"),
        ({"annotations": ["bad key=x"]}, "InvalidKey"),
        ({"expires": "2026-11-22T04:00:00"}, "InvalidTime"),
        ({"expires": "tomorrow"}, "InvalidTime"),
        ({"probe": "ping"}, "InvalidProbe"),
        ({"namespace": "A"}, "InvalidNamespace"),
        ({"module": None, "selector": ["a=b", "a=c"]}, "DuplicateSelectorKey"),
        ({"module": None, "endpoints": ["127.0.0.1"]}, "InvalidEndpoint"),
        ({"module": None, "endpoints": ["10.0.0.1"], "ports": ["80:http"]}, "NamedTargetWithEndpoints"),
        ({"enabled": "yes"}, "InvalidValue"),
    ],
)
def test_an_exposure_that_is_refused(fields: dict[str, Any], rule: str) -> None:
    raw = {key: value for key, value in {**BASE, **fields}.items() if value is not None}
    exposure, violations = parse_exposure("web", raw)
    assert exposure is None
    assert rule in {violation.rule for violation in violations}
    assert all(violation.path.startswith("exposures.web") for violation in violations)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (5432, ["5432:5432/tcp"]),
        ("5432", ["5432:5432/tcp"]),
        ("8080:80", ["8080:80/tcp"]),
        ("8080:80/UDP", ["8080:80/udp"]),
        ("80:http", ["80:http/tcp"]),
        ("5000-5002:6000-6002/udp", ["5000:6000/udp", "5001:6001/udp", "5002:6002/udp"]),
        ("3868/sctp", ["3868:3868/sctp"]),
    ],
)
def test_a_port_in_its_short_form(text: str | int, expected: list[str]) -> None:
    assert [str(mapping) for mapping in parse_port(text)] == expected


@pytest.mark.parametrize(
    "text", ["", "x", "80:", ":80", "80/icmp", "0", "65536", "5-6:7", "5-6:http", "80:Http", "1:2:3", "-1", "+80"]
)
def test_a_port_that_is_refused(text: str) -> None:
    with pytest.raises(RuleError):
        parse_port(text)


@pytest.mark.parametrize(
    ("ports", "count"),
    [([80, "443", "8000-8009:9000-9009/udp"], 12), (["1-1000"], 1000), ([{"port": 80, "targetPort": "http"}], 1)],
)
def test_ports_are_counted_as_they_are_written(ports: list[Any], count: int) -> None:
    exposure, _ = parse_exposure("web", {**BASE, "ports": ports})
    assert exposure is not None
    assert exposure.port_count == len(exposure.mappings) == count


@pytest.mark.parametrize(
    "ports",
    [
        ["80-90", "85-95"],
        ["80-90", 90],
        [90, "80-90:1080-1090"],
        ["1-300", "500-800", "301-500"],
    ],
)
def test_ranges_that_overlap_publish_a_port_twice(ports: list[Any]) -> None:
    _, violations = parse_exposure("web", {**BASE, "ports": ports})
    assert [violation.rule for violation in violations] == ["DuplicatePort"]


@pytest.mark.parametrize(
    ("named", "rules"),
    [("tcp-85", ["DuplicatePortName"]), ("tcp-79", []), ("tcp-91", []), ("udp-85", []), ("tcp-085", [])],
)
def test_a_name_that_a_range_gives_by_default_is_used_already(named: str, rules: list[str]) -> None:
    _, violations = parse_exposure("web", {**BASE, "ports": ["80-90", {"port": 200, "name": named}]})
    assert [violation.rule for violation in violations] == rules


@pytest.mark.parametrize(
    ("counts", "standing", "beyond"),
    [
        pytest.param({"a": 1000, "b": 4000}, {}, {}, id="all fit"),
        pytest.param({"a": 1000, "b": 4000, "c": 1}, {}, {"c": 5000}, id="the last by name does not"),
        pytest.param({"a": 4000, "b": 2000, "c": 1000}, {}, {"b": 4000}, id="a smaller one after it does"),
        pytest.param({"a": 1000, "b": 4500}, {"b": 4500}, {"a": 4500}, id="what stands comes first"),
        pytest.param({"a": 2000, "b": 4500}, {"a": 500, "b": 4500}, {"a": 4500}, id="what stands does not grow"),
        pytest.param({"a": 10, "b": 4500}, {"a": 500, "b": 4500}, {}, id="and may shrink"),
        pytest.param({"a": 600, "b": 4500}, {"b": 4500, "gone": 500}, {"a": 4500}, id="what goes counts no more"),
        pytest.param({"a": 3000, "b": 3000}, {"a": 3000, "b": 3000}, {"b": 3000}, id="more stands than fits"),
    ],
)
def test_who_has_no_room_in_a_document(
    counts: dict[str, int], standing: dict[str, int], beyond: dict[str, int]
) -> None:
    assert beyond_document(counts, standing) == beyond
    assert beyond_document(dict(reversed(counts.items())), standing) == beyond
