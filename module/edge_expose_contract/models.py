"""The desired properties of our module, as pydantic models.

Models are strict about what they know and forbid what they do not: `parsing.py` decides whether an unknown field is a
warning (in a twin) or an error (in a spec). Field descriptions feed the JSON Schemas and the generated reference.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from edge_expose_contract import names
from edge_expose_contract.addressing import Address, AddressRange, AddressSet, parse_address, parse_cidr
from edge_expose_contract.fields import FIELDS
from edge_expose_contract.ports import (
    PortMapping,
    PortSpan,
    Protocol,
    check_port_number,
    check_unique,
    parse_protocol,
    parse_span,
)
from edge_expose_contract.violations import RuleError, shown

T = TypeVar("T")

AUTHOR_BYTES: Final = 128
NOTE_BYTES: Final = 512


def _ruled(parser: Callable[[T], object]) -> Callable[[T], T]:
    """A validator that keeps the text as written and lets `parser` refuse it."""

    def check(value: T) -> T:
        try:
            parser(value)
        except RuleError as error:
            raise error.as_pydantic() from None
        return value

    return check


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Strict(BaseModel):
    # A validator is made when it is first used: the command line starts faster for it.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


# Blanks around a value are nobody's wish: both sides read and write it without.
_Trimmed = Annotated[str, StringConstraints(strip_whitespace=True)]
AddressText = Annotated[_Trimmed, AfterValidator(_ruled(parse_address))]
RangeList = Annotated[
    list[str],
    # written as one range or as a list of them
    BeforeValidator(_listed, json_schema_input_type=str | Annotated[list[str], Field(min_length=1)]),
    AfterValidator(_ruled(AddressSet.parse)),
    Field(min_length=1),
]
NamespaceName = Annotated[str, AfterValidator(_ruled(names.check_namespace))]
LabelPair = Annotated[str, AfterValidator(_ruled(names.check_label))]


def _check_share_key(text: str) -> None:
    if not text.strip() or len(text) > names.MAX_LABEL:
        raise RuleError("InvalidShareKey", f"{shown(text)} is not a sharing key", "1 to 63 characters")


def parse_addresses(text: str) -> tuple[Address, ...]:
    """`address`: one IP, or one of each family as `v4,v6`. Raises RuleError."""
    addresses = tuple(parse_address(part) for part in text.split(","))
    if len(addresses) > 2 or (len(addresses) == 2 and addresses[0].version == addresses[1].version):
        raise RuleError(
            "InvalidAddress",
            f"{shown(text)} is not one address, or one IPv4 and one IPv6",
            'write "v4,v6" for dual stack',
        )
    return tuple(sorted(addresses, key=lambda address: address.version))


def _check_endpoint(text: str) -> None:
    address = parse_address(text)
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise RuleError(
            "InvalidEndpoint",
            f"{address} cannot be an endpoint",
            "Kubernetes refuses loopback, link-local and multicast addresses",
        )


def parse_expiry(text: str) -> datetime:
    """RFC 3339 with an offset, as UTC. Raises RuleError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RuleError(
            "InvalidTime", f"{shown(text)} is not an RFC 3339 time", "write it like 2026-11-22T18:00:00Z"
        ) from None
    if moment.tzinfo is None:
        raise RuleError("InvalidTime", f"{shown(text)} has no time zone", "end it with Z or an offset such as +02:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise RuleError(
            "InvalidTime", f"{shown(text)} is not between the years 1 and 9999", "write a nearer time"
        ) from None


def _check_probe(text: str) -> None:
    if text == "tcp":
        return
    if not text.startswith("/"):
        raise RuleError("InvalidProbe", f"{shown(text)} is not a probe", '"tcp", or an HTTP path such as "/healthz"')
    if not all("!" <= character <= "~" for character in text):
        raise RuleError(
            "InvalidProbe", f"{shown(text)} is not an HTTP path", "percent-encode blanks and what is not ASCII"
        )


class PortObject(Strict):
    """A port in its long form."""

    port: int = Field(description="The published port, 1 to 65535.")
    target_port: int | str | None = Field(
        None, alias="targetPort", description="Port number or name in the pod; the published port if left out."
    )
    protocol: str = Field("TCP", description="TCP, UDP or SCTP.")
    name: str | None = Field(None, description="Name of the Service port; `tcp-8080` if left out.")
    app_protocol: str | None = Field(
        None, alias="appProtocol", description="Application protocol, such as `https` or `kubernetes.io/h2c`."
    )

    @model_validator(mode="after")
    def _check(self) -> PortObject:
        _ruled(lambda _: self.span())(None)
        return self

    def mapping(self) -> PortMapping:
        return self.span().expand()[0]

    def span(self) -> PortSpan:
        protocol = parse_protocol(self.protocol)
        port = check_port_number(self.port)
        target = port if self.target_port is None else self.target_port
        if isinstance(target, int):
            check_port_number(target, "targetPort")
        else:
            names.check_port_name(target)
        if self.name is not None:
            names.check_service_port_name(self.name)
        if self.app_protocol is not None:
            names.check_qualified_name(self.app_protocol)
        return PortSpan(port, 1, target, protocol, self.name, self.app_protocol)


def _port_form(value: Any) -> str | None:
    """Which form of a port this is, so that a bad one is judged by its own form alone."""
    match value:
        case bool():
            return None
        case int():
            return "#number"
        case str():
            return "#text"
        case dict() | PortObject():
            return "#object"
        case _:
            return None


PortEntry = Annotated[
    Annotated[int, AfterValidator(_ruled(parse_span)), Tag("#number")]
    | Annotated[str, AfterValidator(_ruled(parse_span)), Tag("#text")]
    | Annotated[PortObject, Tag("#object")],
    Discriminator(
        _port_form, custom_error_type="InvalidPort", custom_error_message="a port is a number, a text or an object"
    ),
]


class Exposure(Strict):
    """One declared wish: these ports of these pods, reachable there. Its name is the key it stands under."""

    module: str | None = Field(
        None, min_length=1, max_length=128, description="IoT Edge module whose pods get the traffic."
    )
    selector: Annotated[list[LabelPair], BeforeValidator(_listed)] | None = Field(
        None, min_length=1, description="Pod labels as a list of key=value; all must match."
    )
    endpoints: list[Annotated[str, AfterValidator(_ruled(_check_endpoint))]] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="Addresses of workloads beside the cluster, for a Service without a selector.",
    )
    type: Literal["LoadBalancer", "ClusterIP"] = Field(
        "LoadBalancer", description="How it is reached: from outside, or only in the cluster."
    )
    ports: list[PortEntry] = Field(
        min_length=1, description='Ports: 5432, "8080:80/tcp", "5000-5010:5000-5010/udp", or objects.'
    )
    address: Annotated[_Trimmed, AfterValidator(_ruled(parse_addresses))] | None = Field(
        None, description='The external service IP to hold, or "v4,v6"; left out: chosen once, then kept.'
    )
    pool: str | None = Field(None, min_length=1, max_length=253, description="Address pool to draw from.")
    share: Annotated[str, AfterValidator(_ruled(_check_share_key))] | None = Field(
        None, description="Sharing key: exposures with one key share one address."
    )
    allow_from: list[Annotated[str, AfterValidator(_ruled(parse_cidr))]] | None = Field(
        None,
        alias="allowFrom",
        min_length=1,
        description="Client networks (CIDRs) that may connect; everyone if left out. Node ports are left out too where "
        "the cluster and the load balancer can do without.",
    )
    session_affinity: Literal["None", "ClientIP"] = Field(
        "None", alias="sessionAffinity", description="ClientIP keeps a client on one pod."
    )
    external_traffic_policy: Literal["Cluster", "Local"] = Field(
        "Cluster", alias="externalTrafficPolicy", description="Local keeps the client's address and stays on the node."
    )
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = Field(
        None,
        alias="ipFamilyPolicy",
        description="One IP family, both where the cluster has both, or always both; left out: the cluster decides.",
    )
    ip_families: list[Literal["IPv4", "IPv6"]] | None = Field(
        None, alias="ipFamilies", min_length=1, max_length=2, description="IP families, the one that counts most first."
    )
    load_balancer_class: Annotated[str, AfterValidator(_ruled(names.check_qualified_name))] | None = Field(
        None, alias="loadBalancerClass", description="Load balancer implementation; cannot change once set."
    )
    hostname: Annotated[str, AfterValidator(_ruled(names.check_dns_name))] | None = Field(
        None, description="DNS name for external-dns to keep pointed at the address."
    )
    annotations: list[Annotated[str, AfterValidator(_ruled(names.check_own_annotation))]] | None = Field(
        None, description="Extra Service annotations as key=value."
    )
    labels: list[Annotated[str, AfterValidator(_ruled(names.check_own_label))]] | None = Field(
        None, description="Extra Service labels as key=value."
    )
    namespace: NamespaceName | None = Field(
        None, description="Namespace of the Service; a Service only selects pods of its own."
    )
    expires: Annotated[str, AfterValidator(_ruled(parse_expiry))] | None = Field(
        None, description="RFC 3339 time at which it is removed."
    )
    enabled: bool = Field(True, description="false withdraws it and keeps the entry.")
    probe: Annotated[str, AfterValidator(_ruled(_check_probe))] | None = Field(
        None, description='"tcp", or an HTTP path the module asks for at the exposed address.'
    )
    adopt: bool = Field(
        False,
        description="Take over a Service of this name that has no owner of ours, and keep its address; withdrawing the "
        "exposure later deletes it. The device must allow it (ALLOW_ADOPT).",
    )

    @model_validator(mode="after")
    def _check(self) -> Exposure:
        _ruled(lambda _: self._cross_check())(None)
        return self

    def _cross_check(self) -> None:
        given = [name for name in ("module", "selector", "endpoints") if getattr(self, name) is not None]
        if len(given) != 1:
            what = " and ".join(given) or "none of them is given"
            raise RuleError(
                "OneTarget",
                f"exactly one of module, selector and endpoints says where traffic goes ({what})",
                "keep one",
            )
        if self.module is not None:
            names.check_module_label(self.module)
        if self.selector is not None:
            keys = [names.split_pair(pair)[0] for pair in self.selector]
            if len(set(keys)) != len(keys):
                raise RuleError("DuplicateSelectorKey", "selector names one key twice", "no pod could match both")
        check_unique(self.spans)
        if self.type == "ClusterIP":
            wrong = [field.name for field in FIELDS if field.external_only and field.is_set(self)]
            if wrong:
                raise RuleError(
                    "OnlyLoadBalancer",
                    f"{', '.join(wrong)} needs type LoadBalancer",
                    "leave it out, or change the type",
                )
        if self.endpoints is not None and any(isinstance(span.target, str) for span in self.spans):
            raise RuleError("NamedTargetWithEndpoints", "endpoints have no named ports", "give target ports as numbers")
        families = [f"IPv{address.version}" for address in self.addresses]
        if self.ip_families is not None and families and sorted(families) != sorted(self.ip_families):
            raise RuleError(
                "FamilyMismatch", f"address {self.address} is not of {', '.join(self.ip_families)}", "make them agree"
            )
        if len(families) == 2 and self.ip_family_policy == "SingleStack":
            raise RuleError(
                "FamilyMismatch", "two addresses need a dual-stack ipFamilyPolicy", "leave ipFamilyPolicy out"
            )
        if self.ip_families is not None and len(set(self.ip_families)) != len(self.ip_families):
            raise RuleError("FamilyMismatch", "ipFamilies names one family twice", "write each once")

    @cached_property
    def mappings(self) -> tuple[PortMapping, ...]:
        """All ports, expanded, sorted by protocol and number."""
        expanded = (mapping for span in self.spans for mapping in span.expand())
        return tuple(sorted(expanded, key=lambda mapping: (mapping.protocol, mapping.port)))

    @property
    def spans(self) -> tuple[PortSpan, ...]:
        """All ports as they are written: nothing is expanded, however many they are."""
        return tuple(entry.span() if isinstance(entry, PortObject) else parse_span(entry) for entry in self.ports)

    @property
    def port_count(self) -> int:
        return sum(span.count for span in self.spans)

    @property
    def published(self) -> frozenset[tuple[str, int]]:
        """Protocol and number of every port that clients see."""
        return frozenset((str(mapping.protocol), mapping.port) for mapping in self.mappings)

    @cached_property
    def addresses(self) -> tuple[Address, ...]:
        """Pinned addresses, IPv4 first; empty when the address is to be chosen."""
        return parse_addresses(self.address) if self.address is not None else ()

    @cached_property
    def sources(self) -> tuple[AddressRange, ...]:
        return tuple(parse_cidr(text) for text in self.allow_from or ())

    @property
    def expiry(self) -> datetime | None:
        return parse_expiry(self.expires) if self.expires is not None else None

    @property
    def protocols(self) -> frozenset[Protocol]:
        return frozenset(span.protocol for span in self.spans)

    @property
    def is_external(self) -> bool:
        return self.type == "LoadBalancer"

    @property
    def versions(self) -> tuple[int, ...]:
        """IP families this exposure needs an external address of: (4,), (6,) or (4, 6)."""
        if self.addresses:
            return tuple(address.version for address in self.addresses)
        if self.ip_family_policy in ("PreferDualStack", "RequireDualStack"):
            return (4, 6)
        if self.ip_families:
            return (4,) if self.ip_families[0] == "IPv4" else (6,)
        return (4,)


class Site(Strict):
    """A copy of what the owner typed into the Compute network page. The load balancer's own pool is the truth."""

    external_service_ips: RangeList | None = Field(
        None, alias="externalServiceIPs", description="Range, or list of ranges, that external addresses come from."
    )
    node_ips: RangeList | None = Field(
        None, alias="nodeIPs", description="Range of the Kubernetes nodes; never handed out."
    )
    pools: dict[str, RangeList] | None = Field(
        None, description="Named address pools, where the load balancer has several."
    )
    reserved: dict[str, AddressText] | None = Field(
        None, description="Addresses of the range that somebody else uses, by name."
    )
    namespace: NamespaceName | None = Field(None, description="Default namespace of the Services.")

    @model_validator(mode="after")
    def _check(self) -> Site:
        _ruled(lambda _: self._cross_check())(None)
        return self

    def _cross_check(self) -> None:
        if self.external.overlaps(self.nodes):
            raise RuleError(
                "RangesOverlap",
                f"externalServiceIPs {self.external} and nodeIPs {self.nodes} overlap",
                "keep nodes out of the range",
            )

    @cached_property
    def external(self) -> AddressSet:
        return AddressSet.parse(self.external_service_ips) if self.external_service_ips else AddressSet()

    @cached_property
    def all_addresses(self) -> AddressSet:
        """What may be handed out: the external range and the named pools, each address once."""
        parts = (self.external, *self.named_pools.values())
        return AddressSet.of([part for addresses in parts for part in addresses.ranges]).merged()

    @cached_property
    def nodes(self) -> AddressSet:
        return AddressSet.parse(self.node_ips) if self.node_ips else AddressSet()

    @cached_property
    def reserved_addresses(self) -> dict[Address, str]:
        return {parse_address(text): name for name, text in (self.reserved or {}).items()}

    @cached_property
    def named_pools(self) -> dict[str, AddressSet]:
        return {name: AddressSet.parse(texts) for name, texts in (self.pools or {}).items()}


def _bounded(limit: int) -> AfterValidator:
    def check(text: str) -> None:
        if len(text.encode("utf-8", "surrogatepass")) > limit:
            raise RuleError("TextTooLong", f"{shown(text)} is longer than {limit} bytes", "shorten it")

    return AfterValidator(_ruled(check))


class Change(BaseModel):
    """Who wrote the document, when and why. Every tool of ours writes it; an edit by hand may leave it as it is."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, defer_build=True)

    by: Annotated[str, _bounded(AUTHOR_BYTES)] = Field(min_length=1, description="Who wrote it, at most 128 bytes.")
    at: Annotated[str, AfterValidator(_ruled(parse_expiry))] = Field(description="When, RFC 3339.")
    note: Annotated[str, _bounded(NOTE_BYTES)] = Field("", description="Why, at most 512 bytes.")


class Desired(Strict):
    """The whole desired section; used for the JSON Schema and by the cloud, which refuses what is not known."""

    schema_version: str = Field(alias="schemaVersion", description='"1.0".')
    site: Site | None = Field(
        None, description="Ranges and default namespace of the device; the last good one is kept."
    )
    exposures: dict[str, Exposure] = Field(description="Exposures by name; the name is the Service's name.")
    confirm_removal: str | None = Field(
        None, alias="confirmRemoval", description="Token that confirms the removal which the removal guard holds back."
    )
    change: Change | None = Field(None, description="Who wrote this document, when and why; changes nothing by itself.")
