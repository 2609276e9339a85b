"""Objects that the fake cluster makes up when they are read: endpoints from pods, and pools as MetalLB has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from edge_expose_module.cluster.api import ENDPOINTS, Resource
from support.fake_metallb import FakeMetalLb

Body = dict[str, Any]


def endpoints_of(
    service: Mapping[str, Any], resource: Resource, pods: Mapping[tuple[str, str], Mapping[str, str]]
) -> Body:
    """The EndpointSlice or Endpoints of a Service: every pod that it selects is ready."""
    meta, selector = service["metadata"], service["spec"].get("selector") or {}
    names = [
        name
        for (namespace, name), labels in pods.items()
        if selector and namespace == meta["namespace"] and all(labels.get(k) == v for k, v in selector.items())
    ]
    common = {"name": meta["name"], "namespace": meta["namespace"]}
    if resource is ENDPOINTS:
        addresses = [{"ip": f"10.9.0.{place}"} for place, _ in enumerate(names, 1)]
        return {"metadata": common, "subsets": [{"addresses": addresses}] if addresses else []}
    labels = {"kubernetes.io/service-name": meta["name"]}
    endpoints = [{"addresses": [f"10.9.0.{p}"], "targetRef": {"uid": name}} for p, name in enumerate(names, 1)]
    return {"metadata": {**common, "name": f"{meta['name']}-x1", "labels": labels}, "endpoints": endpoints}


def pool_objects(metallb: FakeMetalLb) -> list[Body]:
    """IPAddressPools."""
    specs = {name: pool.spec() for name, pool in metallb.shown.items()}
    if metallb.broken:
        specs["broken"] = {"addresses": list(metallb.broken)}
    return [{"metadata": {"name": name, "namespace": "metallb-system"}, "spec": spec} for name, spec in specs.items()]


def config_map(metallb: FakeMetalLb) -> Body:
    """The ConfigMap that MetalLB 0.10 reads."""
    entries = [pool.entry(name) for name, pool in metallb.shown.items()]
    text = yaml.safe_dump({"address-pools": entries}, sort_keys=False)
    return {"metadata": {"name": "config", "namespace": "metallb-system"}, "data": {"config": text}}
