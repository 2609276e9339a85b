"""Predicts the Services that the Kubernetes edgeAgent (managed IoT Edge on Azure Stack Edge) builds. Pure.

For each module: parse the ports of createOptions, choose the type, name the Service, copy Docker Labels to annotations.
The annotation `net.azure-devices.edge.creationstring` is left out: it repeats the object. Behaviour of 0.1.0-beta15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge_expose_cloud.findings.finding import Finding, finding, in_reading_order
from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options
from edge_expose_cloud.iotedge.edge_agent_names import sanitize_annotation_key
from edge_expose_cloud.iotedge.edge_agent_ports import AgentPort, lookup, read_ports
from edge_expose_contract.addressing import parse_address
from edge_expose_contract.identity import EDGE_DEVICE_LABEL, EDGE_MODULE_LABEL
from edge_expose_contract.names import MAX_LABEL, sanitize_k8s_value, sanitize_label_value
from edge_expose_contract.violations import RuleError

EXTENSION: Final = "k8s-experimental"
SERVICE_TYPES: Final = ("ClusterIP", "LoadBalancer", "NodePort")  # in the order of edgeAgent's enum
SHARING_KEYS: Final = ("metallb.universe.tf/allow-shared-ip", "metallb.io/allow-shared-ip")
_EXTENSION_KEYS = frozenset({"volumes", "resources", "nodeselector", "securitycontext", "serviceoptions", "strategy"})
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class PredictedService:
    """One Service as edgeAgent would create it; `module` is the key in the manifest."""

    module: str
    name: str
    type: str
    ports: tuple[AgentPort, ...]
    selector: tuple[tuple[str, str], ...]
    annotations: tuple[tuple[str, str], ...] = ()
    load_balancer_ip: str | None = None

    def to_json(self, namespace: str | None = None) -> dict[str, Any]:
        """The Kubernetes object."""
        metadata: dict[str, Any] = {"name": self.name, "labels": dict(self.selector)}
        if namespace:
            metadata["namespace"] = namespace
        if self.annotations:
            metadata["annotations"] = dict(self.annotations)
        spec: dict[str, Any] = {
            "type": self.type,
            "ports": [port.to_json() for port in self.ports],
            "selector": dict(self.selector),
        }
        if self.load_balancer_ip is not None:
            spec["loadBalancerIP"] = self.load_balancer_ip
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@dataclass(slots=True)
class Prediction:
    """`plan_rejected`: edgeAgent would reject the whole plan, so none of the Services would be made."""

    services: list[PredictedService] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    plan_rejected: bool = False


def predict_services(
    content: Mapping[str, Any],
    *,
    default_type: str = "LoadBalancer",
    device_id: str | None = None,
    extensions: bool = True,
) -> Prediction:
    """The Services of a `modulesContent` object, system modules included, sorted by name.

    `default_type` is the agent's PortMappingServiceType (LoadBalancer on Azure Stack Edge, ClusterIP by Helm).
    """
    prediction = Prediction()
    names: dict[str, str] = {}
    for module, entry, path in modules_of(content):
        name = _object_name(module, path, prediction)
        if name is None:
            continue
        if name in names:
            prediction.plan_rejected = True
            prediction.findings.append(
                finding(
                    "ModuleNameCollision",
                    path,
                    f"{module!r} and {names[name]!r} both become {name!r}: edgeAgent rejects the whole plan",
                )
            )
            continue
        names[name] = module
        service = _predict(module, name, entry, path, default_type, device_id, extensions, prediction)
        if service is not None:
            prediction.services.append(service)
    prediction.services.sort(key=lambda service: service.name)
    _check_addresses(prediction)
    prediction.findings = in_reading_order(prediction.findings)
    return prediction


def modules_of(content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """(key, entry, path) of each module, system modules first; layered keys (`properties.desired.modules.NAME`) too."""
    agent = content.get("$edgeAgent")
    if not isinstance(agent, Mapping):
        return
    desired = agent.get("properties.desired")
    if isinstance(desired, Mapping):
        for section in ("systemModules", "modules"):
            entries = desired.get(section)
            if isinstance(entries, Mapping):
                for key, entry in entries.items():
                    if isinstance(entry, Mapping):
                        yield key, entry, f"$edgeAgent.properties.desired.{section}.{key}"
    prefix = "properties.desired.modules."
    for key, entry in agent.items():
        # With another dot the key sets a part of a module only.
        if key.startswith(prefix) and "." not in key.removeprefix(prefix) and isinstance(entry, Mapping):
            yield key.removeprefix(prefix), entry, f"$edgeAgent.{key}"


def _object_name(module: str, path: str, prediction: Prediction) -> str | None:
    try:
        return sanitize_k8s_value(module)
    except RuleError as error:
        prediction.plan_rejected = True
        prediction.findings.append(finding("AgentPassFails", path, error.message, hint=error.hint))
        return None


def _predict(
    module: str,
    name: str,
    entry: Mapping[str, Any],
    path: str,
    default_type: str,
    device_id: str | None,
    extensions: bool,
    prediction: Prediction,
) -> PredictedService | None:
    settings = entry.get("settings")
    place = f"{path}.settings.createOptions"
    try:
        options = read_create_options(settings if isinstance(settings, Mapping) else {})
    except CreateOptionsError as error:
        prediction.findings.append(finding("AgentCreateOptions", place, error.problem))
        return None
    reading = read_ports(options, place)
    prediction.findings.extend(reading.findings)
    if reading.pass_fails:
        prediction.plan_rejected = True
        return None
    service_options = _service_options(options, place, prediction) if extensions else None
    if not reading.ports:
        if service_options:
            prediction.findings.append(
                finding(
                    "AgentNoService",
                    f"{place}.{EXTENSION}.serviceOptions",
                    f"{module!r} has no usable port: no Service is made",
                )
            )
        return None
    annotations = _annotations(options, place, prediction)
    selector = _selector(name, device_id, path, prediction)
    if annotations is None or selector is None:
        prediction.plan_rejected = True
        return None
    fallback = default_type if reading.bindings_present else "ClusterIP"
    kind = _service_type(service_options, fallback, f"{place}.{EXTENSION}.serviceOptions.type", prediction)
    _check_name(name, module, path, prediction)
    return PredictedService(
        module=module,
        name=name,
        type=kind,
        ports=tuple(reading.ports.values()),
        selector=selector,
        annotations=annotations,
        load_balancer_ip=_load_balancer_ip(
            service_options, kind, f"{place}.{EXTENSION}.serviceOptions.loadBalancerIP", prediction
        ),
    )


def _service_options(options: Mapping[str, Any], path: str, prediction: Prediction) -> Mapping[str, Any] | None:
    host_config = lookup(options, "HostConfig")
    if isinstance(host_config, Mapping) and lookup(host_config, EXTENSION) is not None:
        prediction.findings.append(
            finding(
                "AgentOptionMisplaced", f"{path}.HostConfig.{EXTENSION}", f"{EXTENSION} inside HostConfig is ignored"
            )
        )
    section = options.get(EXTENSION)  # this one key is matched with its case
    if section is None:
        wrong = next((key for key in options if key.lower() == EXTENSION), None)
        if wrong:
            prediction.findings.append(
                finding("AgentOptionIgnored", f"{path}.{wrong}", f"{wrong!r} is not {EXTENSION!r}: ignored")
            )
        return None
    if not isinstance(section, Mapping):
        prediction.findings.append(
            finding("AgentOptionIgnored", f"{path}.{EXTENSION}", "the section is not an object: ignored as a whole")
        )
        return None
    for key in section:
        if key.lower() not in _EXTENSION_KEYS:
            prediction.findings.append(
                finding(
                    "AgentOptionIgnored", f"{path}.{EXTENSION}.{key}", f"{key!r} is not a key of {EXTENSION}: ignored"
                )
            )
    found = lookup(section, "serviceOptions")
    if found is None:
        return None
    if not isinstance(found, Mapping):
        prediction.findings.append(
            finding(
                "AgentOptionIgnored", f"{path}.{EXTENSION}.serviceOptions", "serviceOptions is not an object: ignored"
            )
        )
        return None
    for key in found:
        if key.lower() not in {"type", "loadbalancerip"}:
            prediction.findings.append(
                finding(
                    "AgentOptionIgnored",
                    f"{path}.{EXTENSION}.serviceOptions.{key}",
                    f"{key!r} is not a key of serviceOptions: ignored",
                )
            )
    return found


def _service_type(options: Mapping[str, Any] | None, fallback: str, path: str, prediction: Prediction) -> str:
    text = lookup(options, "type") if options else None
    if text is None:
        return fallback
    number = parse_service_type(str(text))
    if number is None:
        prediction.findings.append(
            finding("AgentTypeUnknown", path, f"type {text!r} is not known to edgeAgent: {fallback} is used")
        )
        return fallback
    if number in range(len(SERVICE_TYPES)):
        return SERVICE_TYPES[number]
    prediction.findings.append(
        finding(
            "AgentTypeInvalid", path, f"type {text!r} is taken as the number {number}, which the API server refuses"
        )
    )
    return str(number)


def parse_service_type(text: str) -> int | None:
    """.NET's Enum.TryParse(ignoreCase): a name in any case, a number, or several joined by commas (bits are or-ed)."""
    stripped = text.strip()
    if re.fullmatch(r"[+-]?[0-9]+", stripped):
        number = int(stripped)
        return number if -(2**31) <= number < 2**31 else None
    total = 0
    by_name = {name.lower(): index for index, name in enumerate(SERVICE_TYPES)}
    for part in stripped.split(","):
        index = by_name.get(part.strip().lower())
        if index is None:
            return None
        total |= index
    return total


def _load_balancer_ip(options: Mapping[str, Any] | None, kind: str, path: str, prediction: Prediction) -> str | None:
    value = lookup(options, "loadBalancerIP") if options else None
    if value is None:
        return None
    text = str(value)
    try:
        parse_address(text)
    except RuleError as error:
        prediction.findings.append(finding("AgentAddressInvalid", path, error.message))
    if kind != "LoadBalancer":
        prediction.findings.append(
            finding("AgentAddressUnused", path, f"loadBalancerIP {text} on a {kind} Service has no effect")
        )
    return text


def _annotations(options: Mapping[str, Any], path: str, prediction: Prediction) -> tuple[tuple[str, str], ...] | None:
    labels = lookup(options, "Labels")
    if not isinstance(labels, Mapping):
        return ()
    found: dict[str, str] = {}
    for key, value in labels.items():
        try:
            clean = sanitize_annotation_key(key)
        except RuleError as error:
            prediction.findings.append(
                finding(
                    "AgentPassFails", f"{path}.Labels.{key}", f"the label cannot become an annotation: {error.message}"
                )
            )
            return None
        if clean in found:
            prediction.findings.append(
                finding(
                    "AgentPassFails",
                    f"{path}.Labels.{key}",
                    f"two labels become the annotation {clean!r}: edgeAgent throws",
                )
            )
            return None
        found[clean] = str(value)
    return tuple(sorted(found.items()))


def _selector(
    name: str, device_id: str | None, path: str, prediction: Prediction
) -> tuple[tuple[str, str], ...] | None:
    labels = [(EDGE_MODULE_LABEL, name)]
    if device_id is not None:
        try:
            labels.append((EDGE_DEVICE_LABEL, sanitize_label_value(device_id)))
        except RuleError as error:
            prediction.findings.append(finding("AgentPassFails", path, f"device id: {error.message}"))
            return None
    return tuple(sorted(labels))


def _check_name(name: str, module: str, path: str, prediction: Prediction) -> None:
    if len(name) > MAX_LABEL or not _SERVICE_NAME.fullmatch(name):
        prediction.findings.append(
            finding(
                "AgentServiceName",
                path,
                f"{module!r} becomes the Service name {name!r}, which the API server refuses: edgeAgent's pass fails",
            )
        )
    elif name != module and module not in ("edgeAgent", "edgeHub"):
        prediction.findings.append(
            finding("ModuleNameMangled", path, f"{module!r} becomes {name!r}: other modules must use that name")
        )


def _check_addresses(prediction: Prediction) -> None:
    held: dict[str, PredictedService] = {}
    for service in prediction.services:
        address = service.load_balancer_ip
        if address is None or service.type != "LoadBalancer":
            continue
        other = held.setdefault(address, service)
        if other is service:
            continue
        if _sharing_key(service) is None or _sharing_key(service) != _sharing_key(other):
            prediction.findings.append(
                finding(
                    "AgentAddressTwice",
                    f"$edgeAgent.properties.desired.modules.{service.module}",
                    f"{service.module!r} and {other.module!r} both ask for {address}",
                )
            )
            continue
        for port in service.ports:
            if any(port.port == theirs.port and port.protocol == theirs.protocol for theirs in other.ports):
                prediction.findings.append(
                    finding(
                        "PortClash",
                        f"$edgeAgent.properties.desired.modules.{service.module}",
                        f"{service.module!r} and {other.module!r} publish {port.port}/{port.protocol} on {address}",
                    )
                )


def _sharing_key(service: PredictedService) -> str | None:
    annotations = dict(service.annotations)
    return next((annotations[key] for key in SHARING_KEYS if annotations.get(key)), None)
