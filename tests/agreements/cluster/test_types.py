"""The types that the local cluster knows are those of the real servers, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_local.cluster.kinds.types import Types, types_of
from support.kubernetes_kinds import samples

KINDS = [(s.group, s.kind) for s in samples("x", "x", "1.36")]


@pytest.fixture(scope="module")
def openapi(_cluster) -> dict[str, Any]:
    definitions = _cluster.call("GET", "/openapi/v2").body["definitions"]
    return dict(definitions)


def _reference(schema: dict[str, Any]) -> str:
    found = schema.get("items") or schema.get("additionalProperties") or schema
    return str(found.get("$ref", "")).removeprefix("#/definitions/")


def _compare(types: Types, name: str, definitions: dict[str, Any], of: str, seen: set[str]) -> list[str]:
    """What differs between one type and its definition, and below."""
    if name in seen:
        return []
    seen.add(name)
    properties = definitions[of].get("properties") or {}
    found: list[str] = []
    for key, field in types.fields(name).items():
        schema = properties.get(key)
        if schema is None:
            found.append(f"{name}.{key} is not there")
            continue
        if field.merge_key != schema.get("x-kubernetes-patch-merge-key", ""):
            found.append(f"{name}.{key} merges by {schema.get('x-kubernetes-patch-merge-key')}")
        told = schema.get("x-kubernetes-list-type")
        if told and field.list_type != told:
            found.append(f"{name}.{key} is a list of type {told}")
        if types.is_message(field.type) and _reference(schema):
            found += _compare(types, field.type, definitions, _reference(schema), seen)
    found += [
        f"{name}.{key} is unknown" for key in properties.keys() - types.fields(name).keys() - {"apiVersion", "kind"}
    ]
    return found


@pytest.mark.parametrize(("group", "kind"), KINDS)
def test_a_type_has_the_fields_of_the_real_one(cluster, openapi, group: str, kind: str) -> None:
    types = types_of({"1.36": "1.36.3", "1.20": "1.20.15"}[cluster.profile])
    version = "v1beta1" if group == "discovery.k8s.io" and cluster.profile == "1.20" else "v1"
    wanted = {"group": group, "version": version, "kind": kind}
    of = next(name for name, d in openapi.items() if wanted in d.get("x-kubernetes-group-version-kind", []))
    name = types.root(f"{group}/{version}" if group else version, kind)
    gated = {
        "ServiceSpec.ipFamilies",
        "ServiceSpec.ipFamilyPolicy",
        "ServiceSpec.allocateLoadBalancerNodePorts",
        "ServiceSpec.topologyKeys",
    }
    found = _compare(types, name, openapi, of, set())
    known = {f"{field} is unknown" for field in gated} if cluster.profile == "1.20" else set()
    assert set(found) - known == set()
