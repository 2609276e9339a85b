"""Every reason with its meaning, the values that come with it, and what to do about it: one row each.

The module fills the values, the cloud shows the cure, and docs/reference/reasons.md is generated from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from edge_expose_contract.reasons import Reason

MOST_VALUES: Final = 4
VALUE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """`values` are the names of what is reported beside the reason, in order; a value that nobody knows is empty."""

    meaning: str
    values: tuple[str, ...]
    cure: str


def values_for(reason: Reason, known: Mapping[str, object]) -> tuple[str, ...]:
    """The values of a reason in the order of its row, each as short as a report has room for."""
    return tuple(_short(str(known.get(name, ""))) for name in REASON_TABLE[reason].values)


def _short(text: str) -> str:
    encoded = text.encode(errors="replace")
    fits = len(encoded) <= VALUE_BYTES
    return encoded.decode() if fits else encoded[: VALUE_BYTES - 3].decode(errors="ignore") + "…"


_ROWS: Final[dict[Reason, ReasonRow]] = {
    "AddressNotAllowed": ReasonRow(
        "The address, or every address to choose from, is outside those that the device's guard rails allow.",
        ("address", "allowed"),
        "the device's own guard rail EDGE_EXPOSE_ALLOW_ADDRESSES refuses it",
    ),
    "AddressOutsideRange": ReasonRow(
        "The address pinned is in no address pool of the device.",
        ("address", "range"),
        "choose an address of the pool, or extend the external service IP range on the device itself",
    ),
    "AddressRefused": ReasonRow(
        "The load balancer did not give the address that was requested.",
        ("address", "load_balancer"),
        "the load balancer keeps the address before: choose another one, or find out who has this one",
    ),
    "AddressTaken": ReasonRow(
        "Somebody else holds the address, and does not share it.",
        ("address", "holder"),
        "another Service holds it: choose another address, or give both one share key",
    ),
    "AdoptNotAllowed": ReasonRow(
        "The exposure would take a Service over, and the device's guard rails do not allow that.",
        ("service",),
        "rename the exposure, or have the owner of the device set ALLOW_ADOPT",
    ),
    "AdoptionWouldDrop": ReasonRow(
        "Taking the Service over would drop fields that it has and the exposure does not say.",
        ("service", "fields"),
        "say in the exposure what the Service says (the message names it), or take it off the Service",
    ),
    "AllocationFailed": ReasonRow(
        "The load balancer gave no address, for a reason that it tells in its own words.",
        ("service", "load_balancer"),
        "the load balancer refused: its message says why",
    ),
    "AnnotationNotAllowed": ReasonRow(
        "The device's guard rails do not allow this annotation.",
        ("key",),
        "use the field of the exposure, or have the owner of the device name the key",
    ),
    "ClassNotAllowed": ReasonRow(
        "The device's guard rails do not allow this load balancer class.",
        ("load_balancer_class", "allowed"),
        "choose a class the device allows, or leave loadBalancerClass out",
    ),
    "ClusterIPsExhausted": ReasonRow(
        "The cluster has no cluster IP left for the Service.",
        ("service",),
        "remove Services, or widen the cluster's Service range",
    ),
    "ClusterUnavailable": ReasonRow(
        "The cluster cannot be read or written, so that nobody knows what became of the exposure.",
        ("since",),
        "the module cannot reach the cluster: check its kubeconfig or ServiceAccount",
    ),
    "EndpointNotAllowed": ReasonRow(
        "The endpoint lies in a network that the device does not allow.",
        ("endpoint", "network"),
        "choose another endpoint, or have the device's owner name its network in ALLOW_ENDPOINTS",
    ),
    "EndpointsUnreadable": ReasonRow(
        "The module may not read the endpoints, so that nobody knows whether anything answers.",
        ("resource", "namespace"),
        "apply the module's Role in that namespace (docs/guide/device.md)",
    ),
    "FamilyMismatch": ReasonRow(
        "The addresses to choose from are of another IP family than the one needed.",
        ("addresses", "family"),
        "make address, ipFamilies and the cluster's families agree",
    ),
    "ForeignService": ReasonRow(
        "A Service of that name exists and belongs to somebody else.",
        ("service", "owner"),
        "rename the exposure, or set adopt: true to take the Service over and keep its address",
    ),
    "GuardRailsUnknown": ReasonRow(
        "The guard rails of the device cannot be read, so that nothing new is made.",
        ("cause",),
        "mend the ConfigMap edge-expose-guard-rails on the device, or the module's right to read it",
    ),
    "HostnameNotAllowed": ReasonRow(
        "The device's guard rails do not allow this host name.",
        ("hostname", "allowed"),
        "choose a name the device allows, or ask its owner",
    ),
    "InvalidExposure": ReasonRow(
        "The declaration breaks a rule of the contract.",
        ("field", "rule"),
        "correct the declaration; the message names the field",
    ),
    "LabelNotAllowed": ReasonRow(
        "The device's guard rails do not allow this label.",
        ("key",),
        "leave the label out, or have the owner of the device name the key",
    ),
    "ModuleName": ReasonRow(
        "An IoT Edge module in that namespace has the name, and edgeAgent's own Service would fail.",
        ("name", "namespace"),
        "the exposure has the name of an IoT Edge module: rename it",
    ),
    "NamespaceNotAllowed": ReasonRow(
        "The device's guard rails do not allow this namespace.",
        ("namespace", "allowed"),
        "the device's own guard rail EDGE_EXPOSE_ALLOW_NAMESPACES refuses it",
    ),
    "NamespaceTerminating": ReasonRow(
        "The namespace is being deleted.",
        ("namespace",),
        "the namespace is being deleted: wait until it is gone, then make it again",
    ),
    "NoPool": ReasonRow(
        "The load balancer has no address pool that serves the namespace.",
        ("namespace",),
        "give the load balancer an address pool, or write network.externalServiceIPs",
    ),
    "NoReadyEndpoints": ReasonRow(
        "The Service has no ready endpoint: the pods are not ready, or the endpoints are not known yet.",
        ("selector", "namespace"),
        "check that the module runs and is ready, and that the selector's labels are on its pods",
    ),
    "NodeAddress": ReasonRow(
        "The address is the one of a cluster node.",
        ("address", "nodes"),
        "it belongs to a cluster node: choose an address of the external range",
    ),
    "NodePortsExhausted": ReasonRow(
        "The cluster has no node port left for the Service.",
        ("service",),
        "remove LoadBalancer Services or ports, or widen the cluster's node-port range",
    ),
    "NotAnnounced": ReasonRow(
        "The address is assigned, and no advertisement covers its pool.",
        ("address",),
        "the address is assigned and no node announces it: check the load balancer's speakers",
    ),
    "NotCreatedYet": ReasonRow(
        "The Service is not there yet.",
        ("service",),
        "wait for the module's next pass",
    ),
    "OutsideRails": ReasonRow(
        "Guard rails that were tightened refuse what stands: it is left alone, and not made again.",
        ("reason", "value"),
        "the device's guard rails were tightened: what stands goes on; change the exposure to fit them",
    ),
    "PolicyDenied": ReasonRow(
        "An admission rule of the cluster refuses the Service.",
        ("service", "policy"),
        "the message names the admission rule: change the exposure, or have its owner change the rule",
    ),
    "PoolAddressMismatch": ReasonRow(
        "The address pinned is not in the pool named.",
        ("address", "pool"),
        "choose an address of the pool named, or leave one of them out",
    ),
    "PoolExhausted": ReasonRow(
        "No address of the range is free.",
        ("range", "size"),
        "extend the external service IP range on the device, share addresses, or remove an exposure",
    ),
    "PoolInvalid": ReasonRow(
        "The load balancer rejects its configuration.",
        ("error",),
        "correct the load balancer's configuration: one bad pool invalidates all",
    ),
    "PoolMismatch": ReasonRow(
        "The site section and the load balancer's pool differ; the pool decides.",
        ("site", "pool"),
        "the load balancer's pool decides: correct externalServiceIPs, or extend the pool there",
    ),
    "PoolNotForService": ReasonRow(
        "The pool does not serve this Service or its namespace.",
        ("address", "pool", "namespace"),
        "choose an address of a pool that serves this namespace, or change serviceAllocation there",
    ),
    "PortNotAllowed": ReasonRow(
        "The device's guard rails do not allow this port.",
        ("port", "allowed"),
        "the device's own guard rail EDGE_EXPOSE_ALLOW_PORTS refuses it",
    ),
    "PortTaken": ReasonRow(
        "Somebody publishes the port on the address that is shared.",
        ("port", "address", "holder"),
        "another Service on this address publishes the port: change it, or choose another address",
    ),
    "QuotaExceeded": ReasonRow(
        "A quota of the namespace has no room for the Service.",
        ("service", "quota"),
        "raise the quota that the message names, or remove what it counts",
    ),
    "RBACDenied": ReasonRow(
        "The module lacks a right in the cluster.",
        ("verb", "resource", "namespace"),
        "the message names verb, resource and namespace: give the module that right (docs/guide/device.md)",
    ),
    "Rejected": ReasonRow(
        "The API server refuses the Service.",
        ("service",),
        "Kubernetes refused the Service: the message names the field; correct it in the exposure",
    ),
    "RemovalHeldBack": ReasonRow(
        "The document takes the exposure away, and the mass-removal brake holds that back.",
        ("token",),
        "edge-expose unexpose DEVICE --held-back, or apply a spec that still has it",
    ),
    "ReservedAddress": ReasonRow(
        "The address is reserved for somebody else.",
        ("address", "holder"),
        "choose another address, or drop the reservation in network.reserved",
    ),
    "SelectorMatchesNothing": ReasonRow(
        "No pod of the namespace has the labels.",
        ("selector", "namespace"),
        "check the labels of the pods against selector, or the module's name",
    ),
    "SelectorNamespace": ReasonRow(
        "The module runs in another namespace than the Service, which selects pods of its own only.",
        ("module", "runs_in", "namespace"),
        "a Service selects pods of its own namespace: set namespace to the module's",
    ),
    "ServiceNameClash": ReasonRow(
        "Another exposure needs a Service of the same name.",
        ("service", "holder"),
        "name-udp is the UDP half of an exposure with both protocols: rename one of the two",
    ),
    "ServiceTerminating": ReasonRow(
        "The Service is being deleted, and holds its address until it is gone.",
        ("service", "finalizers"),
        "the controller whose finalizer is named has to finish: check that it runs",
    ),
    "ShareAddressMismatch": ReasonRow(
        "The exposures of the sharing key are at another address than the one pinned.",
        ("share", "address", "wanted"),
        "give all exposures of a share key the same address",
    ),
    "SharingPolicyMismatch": ReasonRow(
        "With externalTrafficPolicy Local only Services of the same selector share an address.",
        ("address", "holder"),
        "with externalTrafficPolicy Local all sharers need the same pods: use Cluster",
    ),
    "SourceNotAllowed": ReasonRow(
        "The device's guard rails allow fewer client networks than allowFrom opens.",
        ("source", "allowed"),
        "the device's own guard rail EDGE_EXPOSE_ALLOW_SOURCES refuses it",
    ),
    "TooManyExposures": ReasonRow(
        "The device's guard rails allow fewer exposures.",
        ("limit",),
        "the device's own guard rail EDGE_EXPOSE_MAX_EXPOSURES refuses it",
    ),
    "TooManyPorts": ReasonRow(
        "The document has no room for the ports of this exposure.",
        ("ports", "others"),
        "publish fewer ports, or remove another exposure: a document publishes at most 5000 in all",
    ),
    "UnknownLoadBalancer": ReasonRow(
        "No load balancer that the module knows was found, and no address was given.",
        ("service",),
        "loadBalancerIP was tried; check that this load balancer reads it",
    ),
    "UnknownPool": ReasonRow(
        "There is no address pool of that name.",
        ("pool", "known"),
        "name a pool that the load balancer has, or leave pool out",
    ),
    "UnsupportedByCluster": ReasonRow(
        "The Kubernetes version of the cluster does not know the field.",
        ("field", "needs", "version"),
        "this Kubernetes version has no such field: leave it out",
    ),
    "WaitingForAddress": ReasonRow(
        "The load balancer has not given the address yet.",
        ("address", "held"),
        "wait; if it lasts, check that a load balancer such as MetalLB runs",
    ),
    "WebhookUnavailable": ReasonRow(
        "An admission webhook of the cluster does not answer.",
        ("service", "webhook"),
        "an admission webhook of the cluster does not answer: the message names it",
    ),
}
REASON_TABLE: Final[Mapping[Reason, ReasonRow]] = MappingProxyType(_ROWS)

#: in words, without the full stop; a reason of a newer module is not among them
MEANINGS: Final[Mapping[str, str]] = MappingProxyType({code: row.meaning.rstrip(".") for code, row in _ROWS.items()})
