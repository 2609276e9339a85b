"""A Service and what is said about it, as read from the API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.identity import (
    EDGE_DEVICE_LABEL,
    LABEL_CLAIM,
    LABEL_EXPOSURE,
    LABEL_MANAGED_BY,
    LABEL_OWNER,
    MANAGED_BY,
)
from edge_expose_contract.names import UDP_SUFFIX
from edge_expose_contract.services import selector_text
from edge_expose_contract.violations import RuleError
from edge_expose_module.cluster.foreign_text import json_object

NOTES = "edge-expose.io/"
"""How the keys of our own annotations begin: they are for us, and no load balancer reads them."""
DECLARED_ANNOTATION = f"{NOTES}declared"
"""Our own note on a Service: what we declared, so that it can be taken back."""

Key = tuple[str, str]
"""Namespace and name."""
Port = tuple[str, int]
"""Protocol and number."""


MOST_ADDRESSES = 64
"""Looked at in one list: no Service has more, and anybody can write an annotation with some ten thousand."""
_LONGEST_ADDRESS = 64
LONGEST_MESSAGE = 1024
"""Of an Event or a condition; the API's own limit for the newer kind of Events."""

CLAIM_SUFFIX = "-claim"
"""At the end of the name of every claim."""


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """An Event about a Service; `source` is the component that wrote it, `count` how often it was repeated."""

    source: str
    reason: str
    message: str
    type: str
    time: str
    count: int = 1

    @property
    def is_warning(self) -> bool:
        return self.type == "Warning"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a Service's status."""

    type: str
    status: str
    reason: str
    message: str
    time: str


@dataclass(frozen=True, slots=True)
class ObservedService:
    """A Service as read; `body` is the raw object. `stray` means that our labels on it count for nothing, since it
    stands where this module makes none."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    body: Mapping[str, Any]
    stray: bool = False

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ObservedService:
        meta = body["metadata"]
        return cls(
            meta.get("namespace", ""), meta["name"], meta.get("uid", ""), str(meta.get("resourceVersion", "")), body
        )

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.body.get("spec") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        return self.body["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.body["metadata"].get("annotations") or {}

    @property
    def type(self) -> str:
        return str(self.spec.get("type", "ClusterIP"))

    @property
    def is_load_balancer(self) -> bool:
        return self.type == "LoadBalancer"

    @property
    def deleting(self) -> bool:
        return bool(self.body["metadata"].get("deletionTimestamp"))

    @property
    def assigned(self) -> tuple[Address, ...]:
        """External addresses in the status, IPv4 first."""
        if not self.is_load_balancer:
            return ()
        ingress = ((self.body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        return parse_known(item.get("ip", "") for item in ingress)

    @property
    def asked(self) -> tuple[Address, ...]:
        """Addresses that our note on the Service says we asked for."""
        return parse_known(self.noted("addresses"))

    def noted(self, what: str) -> list[str]:
        """What we declared before, from our own note on the Service: `annotations`, `labels`, `addresses`."""
        found = json_object(self.annotations.get(DECLARED_ANNOTATION, "{}")).get(what)
        return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []

    @property
    def ports(self) -> frozenset[Port]:
        return ports_of(self.spec)

    @property
    def local_backend(self) -> str:
        """The selector under traffic policy Local, nothing under Cluster: who shares an address must agree on it."""
        if self.spec.get("externalTrafficPolicy") != "Local":
            return ""
        return selector_text(self.spec.get("selector") or {})

    @property
    def load_balancer_class(self) -> str | None:
        return self.spec.get("loadBalancerClass")

    @property
    def finalizers(self) -> tuple[str, ...]:
        return tuple(self.body["metadata"].get("finalizers") or ())

    @property
    def conditions(self) -> tuple[Condition, ...]:
        found = (self.body.get("status") or {}).get("conditions") or []
        keys = ("type", "status", "reason", "message", "lastTransitionTime")
        return tuple(Condition(*(str(item.get(key, ""))[:LONGEST_MESSAGE] for key in keys)) for item in found)

    @property
    def exposure(self) -> str | None:
        return self.labels.get(LABEL_EXPOSURE)

    @property
    def is_claim(self) -> bool:
        """Whether it only holds an address for the Service of its exposure that is about to move there; by its label,
        which makes no claim of the Service that serves, whoever puts it there."""
        serves = self.name in (self.exposure, f"{self.exposure}{UDP_SUFFIX}")
        return self.exposure is not None and LABEL_CLAIM in self.labels and not serves

    def owned_by(self, owner: str) -> bool:
        """Ours means all three labels, where this module makes Services."""
        return not self.stray and self.carries_labels_of(owner)

    def carries_labels_of(self, owner: str) -> bool:
        labels = self.labels
        return (
            labels.get(LABEL_MANAGED_BY) == MANAGED_BY and labels.get(LABEL_OWNER) == owner and LABEL_EXPOSURE in labels
        )

    def may_be_adopted_by(self, owner: str) -> bool:
        """Made by hand, or ours until somebody took one of our labels away."""
        return self.other_owner in (None, owner) and not self.made_by_edge_agent

    @property
    def other_owner(self) -> str | None:
        """The owner label, whoever that is."""
        return self.labels.get(LABEL_OWNER)

    @property
    def made_by_edge_agent(self) -> bool:
        return EDGE_DEVICE_LABEL in self.labels


def ports_of(spec: Mapping[str, Any]) -> frozenset[Port]:
    """What a Service publishes."""
    return frozenset((str(port.get("protocol", "TCP")), int(port["port"])) for port in spec.get("ports") or ())


def ports_text(ports: Iterable[Port]) -> str:
    """As in reasons and messages: 53/udp, 80/tcp."""
    return ", ".join(f"{number}/{protocol.lower()}" for protocol, number in ports)


def parse_known(texts: Iterable[str]) -> tuple[Address, ...]:
    """The addresses among the first of these texts, each once, IPv4 first; what is none is left out."""
    found: list[Address] = []
    for text in islice(texts, MOST_ADDRESSES):
        if len(text) > _LONGEST_ADDRESS or not text.strip():
            continue
        try:
            found.append(parse_address(text))
        except RuleError:
            continue
    return tuple(sorted(dict.fromkeys(found), key=lambda address: (address.version, int(address))))
