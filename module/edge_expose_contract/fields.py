"""The fields of an exposure, one row each: what the command line, the form, the drivers and the docs say of it. Pure.

The model (`models.Exposure`) says which values a field takes; this table says everything else that is said of a field
more than once. A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["text", "list", "choice", "flag", "ports"]

_NO_PLACE: Final = "{name} has no place in a Service made by edgeAgent"


@dataclass(frozen=True, slots=True)
class Field:
    """`name` is the key in documents, `attribute` that of the model.

    `option`, `metavar` and `option_help` are for `edge-expose expose`. `form` is the control of the portal's form with
    its `label` and `hint`, "" for a field that the form carries over untouched. `external_only`: needs type
    LoadBalancer. `manifest` says why `driver: manifest` cannot carry it, "" where it can.
    """

    name: str
    kind: Kind
    option: str
    option_help: str
    metavar: str = ""
    form: str = ""
    label: str = ""
    hint: str = ""
    attribute: str = ""
    default: Any = None
    external_only: bool = False
    manifest: str = ""

    def of(self, exposure: Any) -> Any:
        """The value in an exposure (`models.Exposure`)."""
        return getattr(exposure, self.attribute or self.name)

    def is_set(self, exposure: Any) -> bool:
        return bool(self.of(exposure) != self.default)


FIELDS: Final = (
    Field(
        "module",
        "text",
        "--module",
        "IoT Edge module whose pods get the traffic.",
        form="module",
        label="Module",
    ),
    Field(
        "selector",
        "list",
        "--selector",
        "Pod label; repeat the option for several.",
        metavar="K=V",
        form="selector",
        label="Labels",
        hint="key=value, separated by commas; all must match",
        manifest="selector: edgeAgent's Services select their own module",
    ),
    Field(
        "endpoints",
        "list",
        "--endpoint",
        "Address of a workload beside the cluster; repeat the option for several.",
        metavar="IP",
        form="endpoints",
        label="Addresses",
        hint="IP addresses, separated by commas",
        manifest="endpoints: edgeAgent's Services select their own module",
    ),
    Field(
        "type",
        "choice",
        "--type",
        "LoadBalancer (default) or ClusterIP.",
        form="reach",
        label="Reach",
        default="LoadBalancer",
    ),
    Field(
        "ports",
        "ports",
        "--port",
        "Port to expose; repeat the option for several.",
        metavar="[PUBLISHED:]TARGET[/PROTO]",
        form="out0",
        label="Ports",
    ),
    Field(
        "address",
        "text",
        "--address",
        "External service IP to hold.",
        metavar="IP",
        form="address",
        label="External service IP",
        external_only=True,
    ),
    Field(
        "pool",
        "text",
        "--pool",
        "Address pool to draw from.",
        form="pool",
        label="Address pool",
        hint="Only where the load balancer has several",
        external_only=True,
    ),
    Field(
        "share",
        "text",
        "--share",
        "Sharing key: exposures with the same key share one address.",
        metavar="KEY",
        form="share",
        label="Sharing key",
        external_only=True,
    ),
    Field(
        "allowFrom",
        "list",
        "--allow-from",
        "Client network that may connect; everyone if omitted.",
        metavar="CIDR",
        form="allow_from",
        label="Clients that may connect",
        hint="Networks such as 10.1.0.0/16; everyone when empty",
        attribute="allow_from",
        external_only=True,
        manifest=_NO_PLACE,
    ),
    Field(
        "sessionAffinity",
        "choice",
        "--session-affinity",
        "ClientIP keeps each client on one pod.",
        metavar="None|ClientIP",
        form="affinity",
        label="Keep each client on one pod",
        attribute="session_affinity",
        default="None",
        manifest=_NO_PLACE,
    ),
    Field(
        "externalTrafficPolicy",
        "choice",
        "--external-traffic-policy",
        "Local keeps the client's address and stays on the node.",
        metavar="Cluster|Local",
        form="local",
        label="Show the app the client’s own address (stays on the node)",
        attribute="external_traffic_policy",
        default="Cluster",
        external_only=True,
        manifest=_NO_PLACE,
    ),
    Field(
        "ipFamilyPolicy",
        "choice",
        "--ip-family-policy",
        "One IP family or two.",
        metavar="SingleStack|PreferDualStack|RequireDualStack",
        attribute="ip_family_policy",
        manifest=_NO_PLACE,
    ),
    Field(
        "ipFamilies",
        "list",
        "--ip-family",
        "IP family, the most important first; repeat the option for two.",
        metavar="IPv4|IPv6",
        attribute="ip_families",
        manifest=_NO_PLACE,
    ),
    Field(
        "loadBalancerClass",
        "text",
        "--load-balancer-class",
        "Load balancer implementation; cannot change once set.",
        metavar="NAME",
        attribute="load_balancer_class",
        external_only=True,
        manifest=_NO_PLACE,
    ),
    Field(
        "hostname",
        "text",
        "--hostname",
        "DNS name that external-dns keeps pointed at the address.",
        form="hostname",
        label="DNS name",
        hint="Kept up to date by external-dns",
    ),
    Field(
        "annotations",
        "list",
        "--annotation",
        "Extra annotation of the Service; repeat the option for several.",
        metavar="K=V",
    ),
    Field(
        "labels",
        "list",
        "--label",
        "Extra label of the Service; repeat the option for several.",
        metavar="K=V",
        manifest=_NO_PLACE,
    ),
    Field(
        "namespace",
        "text",
        "--namespace",
        "Namespace of the Service.",
        form="namespace",
        label="Namespace",
        hint="The module’s own when empty",
        manifest=_NO_PLACE,
    ),
    Field(
        "expires",
        "text",
        "--expires",
        "RFC 3339 time at which it is removed.",
        metavar="TIME",
        form="open_for",
        label="Closes",
        manifest=_NO_PLACE,
    ),
    Field(
        "enabled",
        "flag",
        "--enabled/--disabled",
        "Whether the exposure is in force; --disabled withdraws it and keeps the entry.",
        default=True,
    ),
    Field(
        "probe",
        "text",
        "--probe",
        "How the module checks the exposed address.",
        metavar="tcp|/PATH",
        form="probe",
        label="Health check",
        hint="tcp, or an HTTP path such as /healthz",
        manifest=_NO_PLACE,
    ),
    Field(
        "adopt",
        "flag",
        "--adopt",
        "Take over a Service of this name that nobody owns.",
        form="adopt",
        label="Take over a Service of this name that nobody owns, and keep its address",
        default=False,
        manifest=_NO_PLACE,
    ),
)
FIELD: Final[Mapping[str, Field]] = {field.name: field for field in FIELDS}


def refusal(field: Field) -> str:
    """Why `driver: manifest` cannot carry the field, "" where it can."""
    return field.manifest.format(name=field.name)
