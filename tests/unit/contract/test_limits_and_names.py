"""Twin limits, edgeAgent's sanitisers, owner ids, Service shapes."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_contract.identity import owner_id
from edge_expose_contract.limits import MAX_INTEGER, section_size, twin_violations
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import sanitize_k8s_value, sanitize_label_value
from edge_expose_contract.services import service_shapes, sharing_key
from edge_expose_contract.violations import RuleError


def deep(levels: int) -> dict[str, Any]:
    return {"a": deep(levels - 1)} if levels > 1 else {"a": 1}


@pytest.mark.parametrize(
    ("section", "rules"),
    [
        ({"a": "x" * 4096}, []),
        ({"a": "x" * 4097}, ["StringTooLong"]),
        ({"a": "é" * 2049}, ["StringTooLong"]),
        (deep(10), []),
        (deep(11), ["TwinTooDeep"]),
        ({"a.b": 1}, ["IllegalTwinKey"]),
        ({"a b": 1, "c$": 1, "d#": 1}, ["IllegalTwinKey"] * 3),
        ({"a": [1, None]}, ["NullInArray"]),
        ({"a": [1, {"b": None}]}, ["NullInArray"]),
        ({"a": [1, {"b": {"c": None, "d": 1}}]}, ["NullInArray"]),
        ({"a": {"b": None}}, []),
        ({"a": MAX_INTEGER}, []),
        ({"a": MAX_INTEGER + 1}, ["IntegerOutOfRange"]),
        ({"$version": 3, "$metadata": {"x.y": 1}}, []),
        ({f"k{n}": "x" * 4000 for n in range(9)}, ["TwinTooLarge"]),
    ],
)
def test_what_a_twin_holds(section: dict[str, Any], rules: list[str]) -> None:
    assert [violation.rule for violation in twin_violations(section)] == rules


def test_sizes_are_counted_as_the_hub_does() -> None:
    assert section_size({"ab": 1, "c": True, "d": "é\n", "e": [1, "x"], "$version": 9}) == 2 + 8 + 1 + 4 + 1 + 2 + 1 + 9


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my_module", "mymodule"),
        ("My.Module", "my.module"),
        ("$edgeAgent", "edgeagent"),
        ("-lead", "-lead"),
        ("Camera_1", "camera1"),
        ("ümlaut", "mlaut"),
    ],
)
def test_edge_agent_deletes_characters_from_object_names(text: str, name: str) -> None:
    assert sanitize_k8s_value(text) == name


def test_edge_agent_trims_label_values_first_and_never_truncates() -> None:
    assert sanitize_label_value("-a/--1-") == "a--1"
    with pytest.raises(RuleError):
        sanitize_label_value("x" * 64)


def test_the_owner_counts_the_hub_in_lower_case() -> None:
    assert owner_id("Hub.Test", "edge1", "edge-expose") == owner_id("hub.test", "edge1", "edge-expose")
    assert owner_id("hub.test", "Edge1") != owner_id("hub.test", "edge1")
    assert len(owner_id("h", "d")) == 16


def exposure(**fields: Any) -> Exposure:
    return Exposure.model_validate({"module": "m", **fields})


def test_only_an_external_exposure_with_both_protocols_is_split() -> None:
    mixed = exposure(ports=["53", "53/udp"])
    assert [shape.name for shape in service_shapes("dns", mixed, "ns")] == ["dns", "dns-udp"]
    assert sharing_key("dns", mixed, "o", "ns") == "edge-expose-o-dns"
    inside = exposure(ports=["53", "53/udp"], type="ClusterIP")
    assert [shape.name for shape in service_shapes("dns", inside, "ns")] == ["dns"]
    assert sharing_key("dns", inside, "o", "ns") is None
    assert sharing_key("dns", exposure(ports=["53", "53/udp"], share="k"), "o", "ns") == "k"
