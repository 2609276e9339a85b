"""What a check found, and the table of every rule there is. Pure.

A finding says where (file, line, path), which rule, what is wrong and what to try. The table is the one source of
rule ids: ids of violations that the contract raises keep the contract's id; `finding()` refuses any other id that is not in it, and docs/reference/rules.md is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation. `line` counts from 1, 0 means unknown; `path` is dotted (`modules.web.image`)."""

    rule: str
    severity: Severity
    path: str
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0

    def to_json(self) -> dict[str, object]:
        """The shape of `validate -o json`."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "file": self.file or None,
            "line": self.line or None,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
        }

    def at(self, file: str, line: int) -> Finding:
        return replace(self, file=file, line=line)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the rule table."""

    id: str
    severity: Severity
    what: str
    hint: str


def _rules(*rows: tuple[str, Severity, str, str]) -> dict[str, Rule]:
    return {row[0]: Rule(*row) for row in rows}


RULES: dict[str, Rule] = _rules(
    # reading
    ("FileUnreadable", "error", "The file cannot be read.", "Check the path and its permissions."),
    ("YamlSyntax", "error", "The text is not valid YAML or JSON.", "Fix the syntax at the line named."),
    ("DuplicateKey", "error", "A key is written twice in one mapping.", "Keep one of them; the other would be lost."),
    (
        "UnknownField",
        "error",
        "A field that this document does not have.",
        "Check the spelling; see docs/reference/spec.md.",
    ),
    ("MissingField", "error", "A required field is absent.", "Add the field."),
    ("WrongType", "error", "A value has the wrong type or form.", "Write the value in the form named."),
    ("SchemaVersion", "error", "The schemaVersion is not one this version understands.", 'Use schemaVersion: "1.0".'),
    (
        "VariableUnknown",
        "error",
        "A ${variable} has no value for this device.",
        "Define it in the inventory (--fleet FILE).",
    ),
    (
        "VariableSyntax",
        "error",
        "A ${...} reference that cannot be read.",
        "Write ${name} or ${env:NAME}; $${ for a literal ${.",
    ),
    ("DeviceUnknown", "error", "The device is not in the inventory.", "Add it to the inventory, or drop --fleet."),
    (
        "SecretInClear",
        "warning",
        "A registry password is written into the file.",
        "Use ${env:NAME}: the value is read when applying.",
    ),
    (
        "SecretMissing",
        "error",
        "An environment variable that the spec refers to is not set.",
        "Set it for this command; its value is never shown.",
    ),
    # target
    (
        "TargetChoice",
        "error",
        "The target is neither one device nor one condition.",
        "Give target.device, or target.condition with a priority.",
    ),
    (
        "TargetLayeredDevice",
        "error",
        "A layer cannot target a single device.",
        "Use target.condition for layered deployments.",
    ),
    (
        "TargetConditionEmpty",
        "warning",
        "An empty condition targets no device.",
        "Use \"deviceId='...'\", a tag, or '*' for all devices.",
    ),
    ("PriorityRange", "error", "A priority outside 0 to 2147483647.", "Use a non-negative whole number."),
    (
        "LayerPriority",
        "warning",
        "A layer whose priority is 0 cannot exceed its base's.",
        "Give layers a higher priority than the base deployment.",
    ),
    (
        "ConditionFixedAddress",
        "warning",
        "A fixed address in a deployment for many devices.",
        "Every targeted device asks for the same address; use per-device ranges, or leave the address out.",
    ),
    # modules
    ("ImageMissing", "error", "A module without an image.", "Set image: registry/name:tag."),
    (
        "ImageLatest",
        "warning",
        "An image tag that moves (latest or none).",
        "Pin a version tag; a device would keep whatever it pulled first.",
    ),
    (
        "ImageForm",
        "error",
        "An image reference that no registry can resolve.",
        "Write registry/name:tag in lower case, without spaces.",
    ),
    ("ModuleName", "error", "A module name that IoT Edge refuses.", "Use letters, digits, - and _ (at most 128)."),
    (
        "ModuleNameMangled",
        "warning",
        "A module name that becomes another name in Kubernetes.",
        "Use lower-case letters, digits and hyphens, starting with a letter.",
    ),
    (
        "ModuleNameCollision",
        "error",
        "Two modules become one name in Kubernetes.",
        "Rename one; edgeAgent rejects the whole plan otherwise.",
    ),
    (
        "ModuleNameReserved",
        "error",
        "A module named like a system module.",
        "Rename it; set runtime.edgeAgent or runtime.edgeHub instead.",
    ),
    (
        "ModulePrivileged",
        "warning",
        "A privileged container.",
        "Drop HostConfig.Privileged; add the single capability it needs.",
    ),
    (
        "ModuleHostNetwork",
        "warning",
        "A module on the host network.",
        "Use ports and an exposure; host networking bypasses Services.",
    ),
    ("EnvName", "error", "An environment name that IoT Edge refuses.", "Use no + # $ . and no white space."),
    (
        "CreateOptionsChunks",
        "warning",
        "createOptions longer than 8 fields (4 KB).",
        "The portal and older tools stop at 8 fields; shorten the options.",
    ),
    (
        "CreateOptionsForm",
        "error",
        "createOptions that edgeAgent cannot read.",
        "Write an object (spec) or one JSON string (manifest).",
    ),
    ("StartupOrderRange", "error", "A startupOrder outside 0 to 4294967295.", "Use a whole number in that range."),
    ("RegistryName", "error", "A registry label that IoT Edge refuses.", "Use no . $ # and no blanks in the label."),
    ("RegistryDuplicate", "warning", "Two registry entries for one address.", "edgeAgent uses one of them; keep one."),
    # routes
    ("RouteName", "error", "A route name that IoT Edge refuses.", "Use no . $ # and no blanks."),
    (
        "RouteSyntax",
        "error",
        "A route that edgeHub cannot parse.",
        "Write FROM <source> [WHERE <condition>] INTO <sink>.",
    ),
    (
        "RouteModuleUnknown",
        "warning",
        "A route that names a module the deployment lacks.",
        "Check the module's name in the route.",
    ),
    # exposures and addresses
    (
        "ExposureModuleUnknown",
        "error",
        "An exposure of a module that the spec does not have.",
        "Name a module of this spec, or use selector or endpoints.",
    ),
    (
        "ExposureNamedLikeModule",
        "error",
        "An exposure named like a module.",
        "Rename it: edgeAgent owns the Service name of a module in its namespace.",
    ),
    (
        "ServiceNameClash",
        "error",
        "Two exposures need one Service name.",
        "Rename one; name-udp is the UDP half of a split exposure.",
    ),
    (
        "AddressOutsideRange",
        "error",
        "An address outside the external service IP range.",
        "Choose an address of network.externalServiceIPs.",
    ),
    ("AddressReserved", "error", "An address that is reserved.", "Choose another one, or drop the reservation."),
    (
        "AddressTwice",
        "error",
        "One address for two exposures without a common share key.",
        "Give both the same share key, or different addresses.",
    ),
    (
        "AddressIsNodeIp",
        "error",
        "An external address that is also a node IP.",
        "Node IPs belong to the cluster's nodes; choose another.",
    ),
    (
        "PortClash",
        "error",
        "Two exposures publish one port on one address.",
        "Change one published port, or give each an address of its own.",
    ),
    (
        "PortReserved",
        "error",
        "A port that Azure Stack Edge keeps for itself.",
        "31000 (dashboard) and 31001 (registry) are taken; publish another port.",
    ),
    (
        "ModulePortReserved",
        "warning",
        "A target port that the IoT Edge sidecar uses.",
        "35000 and 35001 belong to the proxy sidecar; listen elsewhere.",
    ),
    (
        "ShareAddressDiffers",
        "error",
        "One share key with two different addresses.",
        "Give all exposures of a share key the same address.",
    ),
    (
        "SharePolicyLocal",
        "warning",
        "Sharing with externalTrafficPolicy Local needs identical selectors.",
        "Use Cluster, or select the same pods.",
    ),
    ("RangesOverlap", "error", "The external service IPs overlap the node IPs.", "Keep nodes out of the range."),
    ("OverlappingRanges", "error", "Two ranges of one list overlap.", "Keep each address in one range."),
    ("InvalidRange", "error", "An address range that cannot be read.", "Write START-END (both included) or a CIDR."),
    ("MixedRange", "error", "A range from IPv4 to IPv6.", "Write one range for each family."),
    ("ReversedRange", "error", "A range whose start is after its end.", "Swap the ends."),
    ("EmptyRange", "error", "A range without an address.", "Write START-END (both included) or a CIDR."),
    (
        "InvalidAddress",
        "error",
        "Not one IP address, or not one of each family.",
        "Write one IPv4 or IPv6 address, or v4,v6.",
    ),
    ("InvalidCIDR", "error", "A client network that is not a CIDR.", "Write a CIDR such as 10.1.0.0/16."),
    (
        "InvalidEndpoint",
        "error",
        "An endpoint address that Kubernetes refuses.",
        "No loopback, link-local or multicast address.",
    ),
    (
        "InvalidName",
        "error",
        "An exposure name that cannot name a Service.",
        "Lower-case letters, digits and -, starting with a letter.",
    ),
    ("InvalidNamespace", "error", "Not a namespace name.", "Lower-case letters, digits and -, at most 63."),
    ("InvalidHostname", "error", "Not a DNS name.", "Write it like web.site1.example.com, in lower case."),
    ("InvalidPort", "error", "A port that cannot be read.", 'Write "[published:]target[/protocol]".'),
    ("InvalidPortName", "error", "Not a port name.", "Lower-case letters, digits and -."),
    ("InvalidProtocol", "error", "Not a protocol.", "tcp, udp or sctp."),
    ("ReversedPorts", "error", "A port range whose start is after its end.", "Swap the ends."),
    ("UnequalPortRanges", "error", "Published and target range differ in length.", "Give both the same length."),
    ("TooManyPorts", "error", "More ports than one Service takes.", "Split the exposure."),
    ("DuplicatePort", "error", "One exposure publishes a port twice.", "Publish each port once."),
    ("DuplicatePortName", "error", "One exposure uses a port name twice.", "Give each port its own name."),
    (
        "InvalidKey",
        "error",
        "Not a Kubernetes label, annotation or class key.",
        "[dns.prefix/]name of letters, digits, - _ .",
    ),
    ("InvalidLabelValue", "error", "Not a label value.", "At most 63 letters, digits, - _ ."),
    ("InvalidPair", "error", "Not key=value.", "Write it like app=web."),
    ("InvalidShareKey", "error", "Not a sharing key.", "1 to 63 characters."),
    ("InvalidTime", "error", "Not an RFC 3339 time with a zone.", "Write it like 2026-11-22T18:00:00Z."),
    ("InvalidProbe", "error", "Not a probe.", '"tcp", or an HTTP path such as "/healthz".'),
    ("InvalidValue", "error", "A value of the wrong type or outside its choices.", "Write one of the values named."),
    ("OneTarget", "error", "Not exactly one of module, selector and endpoints.", "Keep one."),
    ("DuplicateSelectorKey", "error", "A selector that names one key twice.", "No pod could match both."),
    ("OnlyLoadBalancer", "error", "A field that needs type LoadBalancer.", "Leave it out, or change the type."),
    ("NamedTargetWithEndpoints", "error", "A named target port with endpoints.", "Give target ports as numbers."),
    ("FamilyMismatch", "error", "Addresses and IP families that do not agree.", "Make them agree."),
    ("NameTooLong", "error", "A name that is too long for edgeAgent.", "Shorten it."),
    ("NameEmpty", "error", "A name of which edgeAgent's rules leave nothing.", "Use letters and digits."),
    (
        "RangeOverlapsNetwork",
        "error",
        "A range that overlaps the pod or Service network.",
        "Choose addresses outside network.podNetwork and network.serviceNetwork.",
    ),
    (
        "RangeTooSmall",
        "error",
        "More addresses needed than the range has.",
        "Extend the range, share addresses (share: key), or drop an exposure.",
    ),
    (
        "RangeNoEdgehub",
        "info",
        "No address is reserved for edgeHub.",
        "On Azure Stack Edge edgeHub takes one address: reserved: {edgehub: ADDRESS}.",
    ),
    (
        "RangeIsClusterAddress",
        "error",
        "An address the cluster itself uses.",
        "172.28.0.1 and 172.28.0.10 are taken on Azure Stack Edge.",
    ),
    ("NodeIpsTooFew", "error", "Fewer node IPs than n+1 for n nodes.", "Give at least 2 node IPs for one node."),
    (
        "ReservedOutsideRange",
        "warning",
        "A reserved address outside the external service IP range.",
        "Reservations only matter inside the range; check the address.",
    ),
    # manifests and twins
    (
        "ManifestForm",
        "error",
        "The document is not a deployment manifest.",
        "It needs modulesContent (or content.modulesContent) with $edgeAgent.",
    ),
    (
        "ManifestLegacy",
        "warning",
        "moduleContent is the old name of modulesContent.",
        "Rename the key to modulesContent.",
    ),
    ("ManifestSchema", "error", "A manifest that `az iot edge` refuses.", "Fix the value at the path named."),
    ("ManifestAgentVersion", "error", "A schemaVersion that edgeAgent or edgeHub refuses.", 'Use "1.1".'),
    ("ManifestUnchecked", "info", "A section for which no schema is known.", "Use schemaVersion 1.0 or 1.1."),
    (
        "ManifestContentKey",
        "error",
        "A key that IoT Hub refuses inside a module's content.",
        "Use properties.desired or properties.desired.<path>.",
    ),
    (
        "ManifestLayerKey",
        "error",
        "A key that a layered deployment cannot carry.",
        "Layers may set modules, routes and module properties; no system modules.",
    ),
    ("TwinTooLarge", "error", "More than 32 KB in one twin section.", "Split or shorten it."),
    ("TwinTooDeep", "error", "Objects that nest deeper than 10.", "Flatten it."),
    ("StringTooLong", "error", "A text of more than 4 KB in a twin.", "Shorten or split it."),
    ("IllegalTwinKey", "error", "A key that no twin can hold.", "No . $ # or blanks; use a list of key=value."),
    ("NullInArray", "error", "null inside an array, which twins refuse.", "Leave the item out."),
    ("IntegerOutOfRange", "error", "A whole number that does not fit a twin.", "Send it as text."),
    (
        "TwinBudget",
        "warning",
        "More than 80 % of a twin's 32 KB is used.",
        "Split modules over layers, shorten createOptions or annotations.",
    ),
    (
        "ModuleCount",
        "error",
        "More than 50 module identities on one device.",
        "IoT Hub allows 50 per device, system modules included.",
    ),
    (
        "ImportLost",
        "warning",
        "Something that a spec cannot say.",
        "Keep the manifest beside the spec, or leave it out on purpose.",
    ),
    # driver: manifest
    (
        "DriverManifestInexpressible",
        "error",
        "A wish that edgeAgent's Services cannot express.",
        "Use driver: module, or drop the field.",
    ),
    (
        "DriverManifestTarget",
        "error",
        "Fixed addresses with driver: manifest need one device.",
        "Use target.device; a deployment has one content for all devices.",
    ),
    ("DriverManifestModuleField", "error", "site and hand-written twins need driver: module.", "Use driver: module."),
    # edgeAgent prediction
    (
        "AgentCreateOptions",
        "error",
        "createOptions that edgeAgent refuses.",
        "Fix the createOptions; the module would not start.",
    ),
    (
        "AgentPortIgnored",
        "warning",
        "A port that edgeAgent ignores.",
        "Write PORT/tcp, PORT/udp or PORT/sctp with one number.",
    ),
    (
        "AgentPortLost",
        "warning",
        "A port that another one overwrites.",
        "A Service made by edgeAgent keeps one entry per port number, whatever the protocol.",
    ),
    (
        "AgentPortNameTwice",
        "error",
        "Two ports of one Service get the same name.",
        "Bind each container port to one HostPort; the API server refuses the Service and edgeAgent's pass fails.",
    ),
    (
        "AgentPortRange",
        "error",
        "A port number outside 1 to 65535.",
        "The API server refuses the Service and edgeAgent's pass fails.",
    ),
    (
        "AgentPassFails",
        "error",
        "Input on which edgeAgent's whole pass fails.",
        "Fix it: no module of the device would be updated.",
    ),
    (
        "AgentServiceName",
        "error",
        "A module name that cannot name a Service.",
        "Use lower-case letters, digits and hyphens, starting with a letter, at most 63.",
    ),
    (
        "AgentTypeUnknown",
        "warning",
        "A serviceOptions.type that edgeAgent does not know.",
        "Use ClusterIP, LoadBalancer or NodePort.",
    ),
    (
        "AgentTypeInvalid",
        "error",
        "A serviceOptions.type that the API server refuses.",
        "Use ClusterIP, LoadBalancer or NodePort.",
    ),
    (
        "AgentOptionIgnored",
        "warning",
        "A k8s-experimental key that edgeAgent ignores.",
        "Only type and loadBalancerIP exist under serviceOptions.",
    ),
    (
        "AgentOptionMisplaced",
        "warning",
        "A key at a place where edgeAgent does not look.",
        "ExposedPorts and k8s-experimental stand beside HostConfig.",
    ),
    (
        "AgentNoService",
        "warning",
        "serviceOptions without a usable port make no Service.",
        "Add HostConfig.PortBindings or ExposedPorts.",
    ),
    (
        "AgentAddressInvalid",
        "warning",
        "A loadBalancerIP that is not an address.",
        "edgeAgent copies it as it is; the load balancer will refuse it.",
    ),
    (
        "AgentAddressUnused",
        "info",
        "A loadBalancerIP on a Service that is no LoadBalancer.",
        "Set serviceOptions.type to LoadBalancer, or drop the address.",
    ),
    (
        "AgentAddressTwice",
        "error",
        "Two Services ask for one address without a sharing key.",
        "Give both the Docker Label metallb.universe.tf/allow-shared-ip.",
    ),
)


def finding(
    rule: str, path: str, message: str, *, hint: str | None = None, severity: Severity | None = None
) -> Finding:
    """A finding of a rule in the table; severity and hint default to the table's."""
    row = RULES[rule]
    return Finding(
        rule=rule,
        severity=severity or row.severity,
        path=path,
        message=message,
        hint=row.hint if hint is None else hint,
    )


def has_errors(findings: Iterable[Finding]) -> bool:
    """True when at least one finding forbids going on."""
    return any(item.severity == "error" for item in findings)


def in_reading_order(findings: Iterable[Finding]) -> list[Finding]:
    """By file, line, path and rule, without repetitions: the same input always shows the same list."""
    return sorted(set(findings), key=lambda f: (f.file, f.line, f.path, f.rule, f.message))
