"""Allocation as a function: wishes, Services and pools in a few words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.models import Exposure
from edge_expose_module.allocation.address_space import Space
from edge_expose_module.allocation.allocate import Decision, allocate
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.load_balancers.metallb import MetalLB

OWNER = "0123456789abcdef"


def wish(name: str, **fields: Any) -> ResolvedExposure:
    return ResolvedExposure(name, Exposure.model_validate({"selector": ["app=ws"], "ports": [80], **fields}))


def service(
    name: str,
    address: str,
    *,
    ours: bool = True,
    ports: tuple[int, ...] = (80,),
    share: str = "",
    policy: str = "Cluster",
    selector: str = "ws",
    asks: str = "",
    asked: str = "",
) -> ObservedService:
    """One that holds `address`, unless that is empty, and asks for `asks`; by our note on it we `asked` for another."""
    labels = {
        "app.kubernetes.io/managed-by": "edge-expose",
        "edge-expose.io/owner": OWNER,
        "edge-expose.io/exposure": name,
    }
    addresses = address.split(",") if address else []
    return ObservedService.of(
        {
            "metadata": {
                "name": name,
                "namespace": "n",
                "labels": labels if ours else {},
                "annotations": {
                    **({"metallb.io/allow-shared-ip": share} if share else {}),
                    **({"edge-expose.io/declared": json.dumps({"addresses": [asked]})} if asked else {}),
                },
            },
            "spec": {
                "type": "LoadBalancer",
                "externalTrafficPolicy": policy,
                "selector": {"app": selector},
                "ports": [{"port": port, "protocol": "TCP"} for port in ports],
                **({"loadBalancerIP": asks} if asks else {}),
            },
            "status": {"loadBalancer": {"ingress": [{"ip": text} for text in addresses]}},
        }
    )


def world(*services: ObservedService) -> Observed:
    return Observed(services={s.key: s for s in services}, load_balancer=MetalLB())


@dataclass(frozen=True)
class Everywhere:
    """The same space for every exposure."""

    space: Space

    def of(self, *_: object) -> Space:
        return self.space


def space(ranges: str | list[str] = "10.0.0.1-10.0.0.4", **more: Any) -> Space:
    pool = AddressSet.parse(ranges)
    return Space(legal=pool, automatic=(pool,), pools={"p": pool}, **more)


def decide(wishes: list[ResolvedExposure], observed: Observed, where: Space, **more: Any) -> dict[str, Decision]:
    return allocate(
        {w.name: w for w in wishes}, observed, OWNER, more.pop("remembered", {}), Everywhere(where), "n", **more
    )


def texts(decision: Decision) -> str:
    return ",".join(str(address) for address in decision.addresses)


def reason(decision: Decision) -> str:
    return decision.block.reason if decision.block is not None else ""


def said(decision: Decision) -> str:
    return f"{decision.block.reason}: {decision.block.message}" if decision.block is not None else texts(decision)


CHOOSE = "give both the same sharing key and different ports, or choose another address"


EXTEND = "remove an exposure, share an address, or extend the external service IP range on the device"


def two_pools() -> Space:
    first, second = AddressSet.parse("10.0.0.1-10.0.0.2"), AddressSet.parse("10.0.1.1/32")
    legal = AddressSet.parse(["10.0.0.1-10.0.0.2", "10.0.1.1/32"])
    return Space(legal=legal, automatic=(first, second), pools={"west": first, "east": second})
