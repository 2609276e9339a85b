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
        "choose an address that the device allows, or have its owner extend EDGE_EXPOSE_ALLOW_ADDRESSES",
    ),
    "AddressOutsideRange": ReasonRow(
        "The pinned address is in no address pool of the device.",
        ("address", "range"),
        "choose an address of a pool, or extend the external service IP range on the device itself",
    ),
    "AddressRefused": ReasonRow(
        "The load balancer did not assign the requested address.",
        ("address", "load_balancer"),
        "the Service keeps its previous address: choose another one, or find out what holds the requested one",
    ),
    "AddressTaken": ReasonRow(
        "Another Service holds the address and does not share it.",
        ("address", "holder"),
        "choose another address, or give both Services the same share key",
    ),
    "AdoptNotAllowed": ReasonRow(
        "The exposure would adopt an existing Service, and the device's guard rails do not allow that.",
        ("service",),
        "rename the exposure, or have the device's owner set ALLOW_ADOPT",
    ),
    "AdoptionWouldDrop": ReasonRow(
        "Adopting the Service would remove fields that it has and the exposure does not declare.",
        ("service", "fields"),
        "declare the fields that the message names in the exposure, or remove them from the Service",
    ),
    "AllocationFailed": ReasonRow(
        "The load balancer assigned no address, for a reason that the module does not recognize.",
        ("service", "load_balancer"),
        "read what the load balancer said, which the message quotes",
    ),
    "AnnotationNotAllowed": ReasonRow(
        "The device's guard rails do not allow this annotation.",
        ("key",),
        "use a field of the exposure instead, or have the device's owner add the key to ALLOW_ANNOTATIONS",
    ),
    "ClassNotAllowed": ReasonRow(
        "The device's guard rails do not allow this load balancer class.",
        ("load_balancer_class", "allowed"),
        "choose a class that the device allows, or omit loadBalancerClass",
    ),
    "ClusterIPsExhausted": ReasonRow(
        "The cluster has no cluster IP left for the Service.",
        ("service",),
        "remove Services, or extend the cluster's Service range",
    ),
    "ClusterUnavailable": ReasonRow(
        "The cluster cannot be read or written, so the state of the exposure is unknown.",
        ("since",),
        "check the module's kubeconfig or ServiceAccount, and that the API server answers",
    ),
    "EndpointNotAllowed": ReasonRow(
        "The endpoint is in a network that the device does not allow.",
        ("endpoint", "network"),
        "choose another endpoint, or have the device's owner add its network to ALLOW_ENDPOINTS",
    ),
    "EndpointsUnreadable": ReasonRow(
        "The module may not read the endpoints, so it cannot tell whether any pod answers.",
        ("resource", "namespace"),
        "apply the module's Role in that namespace (docs/guide/device.md)",
    ),
    "FamilyMismatch": ReasonRow(
        "The addresses to choose from are of a different IP family than the one needed.",
        ("addresses", "family"),
        "make address, ipFamilies and the cluster's IP families agree",
    ),
    "ForeignService": ReasonRow(
        "A Service of that name exists and does not belong to this module.",
        ("service", "owner"),
        "rename the exposure, or set adopt: true to take over the Service and keep its address",
    ),
    "GuardRailsUnknown": ReasonRow(
        "The device's guard rails cannot be read, so nothing new is created.",
        ("cause",),
        "correct the ConfigMap edge-expose-guard-rails on the device, or restore the module's right to read it",
    ),
    "HostnameNotAllowed": ReasonRow(
        "The device's guard rails do not allow this host name.",
        ("hostname", "allowed"),
        "choose a name that the device allows, or have its owner allow this one",
    ),
    "InvalidExposure": ReasonRow(
        "The exposure breaks a rule of the contract.",
        ("field", "rule"),
        "correct the field that the message names",
    ),
    "LabelNotAllowed": ReasonRow(
        "The device's guard rails do not allow this label.",
        ("key",),
        "omit the label, or have the device's owner allow the key",
    ),
    "ModuleName": ReasonRow(
        "An IoT Edge module in that namespace has the same name: the Service that edgeAgent makes for it would fail.",
        ("name", "namespace"),
        "rename the exposure",
    ),
    "NamespaceNotAllowed": ReasonRow(
        "The device's guard rails do not allow this namespace.",
        ("namespace", "allowed"),
        "choose a namespace that the device allows, or have its owner extend EDGE_EXPOSE_ALLOW_NAMESPACES",
    ),
    "NamespaceTerminating": ReasonRow(
        "The namespace is being deleted.",
        ("namespace",),
        "wait until the namespace is gone, then create it again",
    ),
    "NoPool": ReasonRow(
        "The load balancer has no address pool that serves the namespace.",
        ("namespace",),
        "give the load balancer an address pool, or set network.externalServiceIPs",
    ),
    "NoReadyEndpoints": ReasonRow(
        "The Service has no ready endpoint: no pod is ready, or the endpoints are not known yet.",
        ("selector", "namespace"),
        "check that the app's module runs and is ready, and that its pods have the selector's labels",
    ),
    "NodeAddress": ReasonRow(
        "The address belongs to a cluster node.",
        ("address", "nodes"),
        "choose an address of the external service IP range",
    ),
    "NodePortsExhausted": ReasonRow(
        "The cluster has no node port left for the Service.",
        ("service",),
        "remove LoadBalancer Services or ports, or extend the cluster's node-port range",
    ),
    "NotAnnounced": ReasonRow(
        "The address is assigned, but no advertisement covers its pool.",
        ("address",),
        "add an advertisement for the pool, and check the load balancer's speakers",
    ),
    "NotCreatedYet": ReasonRow(
        "The Service does not exist yet.",
        ("service",),
        "wait for the module's next pass",
    ),
    "OutsideRails": ReasonRow(
        "The guard rails no longer allow this exposure. Its Service stays as it is, and is not created again.",
        ("reason", "value"),
        "change the exposure so that it fits the guard rails, or have the device's owner extend them",
    ),
    "PolicyDenied": ReasonRow(
        "An admission policy of the cluster denies the Service.",
        ("service", "policy"),
        "change the exposure, or have the owner of the policy that the message names change it",
    ),
    "PoolAddressMismatch": ReasonRow(
        "The pinned address is not in the named pool.",
        ("address", "pool"),
        "choose an address of that pool, or omit the address or the pool",
    ),
    "PoolExhausted": ReasonRow(
        "No address of the range is free.",
        ("range", "size"),
        "extend the external service IP range on the device, share addresses, or remove an exposure",
    ),
    "PoolInvalid": ReasonRow(
        "The load balancer rejects its own configuration.",
        ("error",),
        "correct the load balancer's configuration: one invalid pool invalidates all of them",
    ),
    "PoolMismatch": ReasonRow(
        "The site section and the load balancer's pool differ. The pool decides.",
        ("site", "pool"),
        "correct externalServiceIPs, or extend the load balancer's pool",
    ),
    "PoolNotForService": ReasonRow(
        "The pool does not serve this Service or its namespace.",
        ("address", "pool", "namespace"),
        "choose an address of a pool that serves this namespace, or change the pool's serviceAllocation",
    ),
    "PortNotAllowed": ReasonRow(
        "The device's guard rails do not allow this port.",
        ("port", "allowed"),
        "choose a port that the device allows, or have its owner extend EDGE_EXPOSE_ALLOW_PORTS",
    ),
    "PortTaken": ReasonRow(
        "Another Service publishes the port on the shared address.",
        ("port", "address", "holder"),
        "publish another port, or choose another address",
    ),
    "QuotaExceeded": ReasonRow(
        "A quota of the namespace has no room for the Service.",
        ("service", "quota"),
        "raise the quota that the message names, or remove objects that count against it",
    ),
    "RBACDenied": ReasonRow(
        "The module lacks a right in the cluster.",
        ("verb", "resource", "namespace"),
        "grant the module the verb on the resource that the message names (docs/guide/device.md)",
    ),
    "Rejected": ReasonRow(
        "The API server rejects the Service.",
        ("service",),
        "correct the field that the message names",
    ),
    "RemovalHeldBack": ReasonRow(
        "The document removes so many exposures that this removal waits for confirmation.",
        ("token",),
        "confirm with edge-expose unexpose DEVICE --held-back, or apply a spec that still has the exposure",
    ),
    "ReservedAddress": ReasonRow(
        "The address is reserved for something else.",
        ("address", "holder"),
        "choose another address, or remove the reservation from network.reserved",
    ),
    "SelectorMatchesNothing": ReasonRow(
        "No pod of the namespace has the selector's labels.",
        ("selector", "namespace"),
        "compare the selector, or the module's name, with the labels of the pods",
    ),
    "SelectorNamespace": ReasonRow(
        "The app runs in another namespace, and a Service selects only pods of its own namespace.",
        ("module", "runs_in", "namespace"),
        "set namespace to the module's namespace",
    ),
    "ServiceNameClash": ReasonRow(
        "Another exposure needs a Service of the same name.",
        ("service", "holder"),
        "rename one of the two; an exposure with both protocols also needs a Service named name-udp",
    ),
    "ServiceTerminating": ReasonRow(
        "The Service is being deleted and holds its address until it is gone.",
        ("service", "finalizers"),
        "check that the controller whose finalizer is named runs, so that it can finish",
    ),
    "ShareAddressMismatch": ReasonRow(
        "The exposures with this share key have a different address than the pinned one.",
        ("share", "address", "wanted"),
        "give all exposures with the same share key the same address",
    ),
    "SharingPolicyMismatch": ReasonRow(
        "With externalTrafficPolicy: Local, only Services with the same selector can share an address.",
        ("address", "holder"),
        "use externalTrafficPolicy: Cluster, or give all Services on the address the same selector",
    ),
    "SourceNotAllowed": ReasonRow(
        "The device's guard rails allow fewer client networks than allowFrom opens.",
        ("source", "allowed"),
        "narrow allowFrom, or have the device's owner extend EDGE_EXPOSE_ALLOW_SOURCES",
    ),
    "TooManyExposures": ReasonRow(
        "The device's guard rails allow fewer exposures.",
        ("limit",),
        "remove an exposure, or have the device's owner raise EDGE_EXPOSE_MAX_EXPOSURES",
    ),
    "TooManyPorts": ReasonRow(
        "The document has no room for the ports of this exposure.",
        ("ports", "others"),
        "publish fewer ports, or remove another exposure: a document publishes at most 5000 ports in all",
    ),
    "UnknownLoadBalancer": ReasonRow(
        "No load balancer that the module knows was found, and no address was assigned.",
        ("service",),
        "the module set loadBalancerIP: check that this load balancer reads it",
    ),
    "UnknownPool": ReasonRow(
        "No address pool has that name.",
        ("pool", "known"),
        "name a pool that the load balancer has, or omit pool",
    ),
    "UnsupportedByCluster": ReasonRow(
        "The cluster's Kubernetes version does not support the field.",
        ("field", "needs", "version"),
        "omit the field, or upgrade the cluster",
    ),
    "WaitingForAddress": ReasonRow(
        "The load balancer has not assigned an address yet.",
        ("address", "held"),
        "wait; if this lasts, check that a load balancer such as MetalLB runs",
    ),
    "WebhookUnavailable": ReasonRow(
        "An admission webhook of the cluster does not answer.",
        ("service", "webhook"),
        "check the webhook that the message names",
    ),
}
REASON_TABLE: Final[Mapping[Reason, ReasonRow]] = MappingProxyType(_ROWS)

#: in words, without the full stop; a reason of a newer module is not among them
MEANINGS: Final[Mapping[str, str]] = MappingProxyType({code: row.meaning.rstrip(".") for code, row in _ROWS.items()})
