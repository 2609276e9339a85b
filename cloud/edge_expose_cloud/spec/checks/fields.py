"""Checks of one spec across its fields: targets, modules, routes. Addresses have a file of their own. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from edge_expose_cloud.findings.finding import Finding, finding, has_errors
from edge_expose_cloud.iotedge.create_options import (
    WIDELY_SUPPORTED_CHUNKS,
    CreateOptionsError,
    chunk_count,
    write_create_options,
)
from edge_expose_cloud.iotedge.edge_agent_ports import lookup
from edge_expose_cloud.iotedge.routes import modules_in_route
from edge_expose_cloud.spec.checks.addresses import AddressChecks
from edge_expose_cloud.spec.checks.driver_limits import check_manifest_driver
from edge_expose_cloud.spec.checks.routes import check_route_text
from edge_expose_cloud.spec.last import Last
from edge_expose_cloud.spec.model import ModuleSpec, Route, Runtime, Spec
from edge_expose_cloud.spec.names import is_deployment_name
from edge_expose_cloud.spec.variables import is_placeholder
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.names import sanitize_k8s_value
from edge_expose_contract.violations import RuleError, shown

_MODULE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_LABEL_NAME = re.compile(r"[^.$# ]+")
_ENV_NAME = re.compile(r"[^+#$\s.]+")
_IMAGE = re.compile(
    r"(?:(?:\$upstream|[a-zA-Z0-9.-]+)(?::[0-9]+)?/)?[a-z0-9._/-]+(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_SYSTEM = frozenset({"$edgeagent", "$edgehub", "edgeagent", "edgehub"})


def lint(spec: Spec, data: Mapping[str, Any]) -> list[Finding]:
    """Every finding of a spec whose fields are right one by one. `data` is the spec as written."""
    return Checks().lint(spec, data)


class Checks:
    """Checks one spec for one device after the other; sections that stay the same objects are looked at once."""

    def __init__(self) -> None:
        self._modules: Last[list[Finding]] = Last()
        self._registries: Last[list[Finding]] = Last()
        self._routes: Last[list[Finding]] = Last()
        self._addresses = AddressChecks()

    def lint(self, spec: Spec, data: Mapping[str, Any]) -> list[Finding]:
        """As the function lint."""
        found = list(_target(spec))
        found += self._modules.of((spec.modules,), (spec.driver, spec.add_module), lambda: list(_modules(spec)))
        found += self._registries.of((spec.registries,), None, lambda: list(_registries(spec)))
        modules = data.get("modules")
        # A module that is wrong elsewhere is still a module of this spec.
        declared = set(spec.modules) | set(modules if isinstance(modules, Mapping) else ())
        around = (frozenset(declared), spec.target.layered, spec.add_edge_hub, spec.runtime.time_to_live_secs)
        found += self._routes.of((spec.routes,), around, lambda: list(_routes(spec, declared)))
        found += self._addresses.lint(spec, declared)
        if spec.driver == "manifest":
            found += check_manifest_driver(spec)
        return found


def _target(spec: Spec) -> Iterator[Finding]:
    target = spec.target
    if not is_deployment_name(spec.name):
        yield finding(
            "WrongType",
            "name",
            f"{shown(spec.name)} cannot be part of a deployment id",
            hint="Use lower-case letters, digits and - + % _ * ! ', at most 128.",
        )
    if (target.device is None) == (target.condition is None):
        what = "both device and condition" if target.device is not None else "neither device nor condition"
        yield finding("TargetChoice", "target", f"the target has {what}")
    if target.layered and target.device is not None:
        yield finding(
            "TargetLayeredDevice",
            "target.layered",
            f"layered deployments have a condition; this one targets device {shown(target.device)}",
        )
    if target.condition is not None and not target.condition.strip():
        yield finding("TargetConditionEmpty", "target.condition", "an empty condition targets no device")
    if target.layered and target.priority == 0:
        yield finding("LayerPriority", "target", "a layer with priority 0 cannot exceed its base's priority")


def _modules(spec: Spec) -> Iterator[Finding]:
    names: dict[str, str] = {}
    adds_ours = spec.driver == "module" and spec.add_module and MODULE_ID not in spec.modules
    if len(spec.modules) + adds_ours + 2 > 50:
        ours = f", {MODULE_ID}" if adds_ours else ""
        text = f"{len(spec.modules)} modules{ours} and the two system modules are more than 50"
        yield finding("ModuleCount", "modules", text)
    if spec.driver_image is not None:
        yield from check_image(spec.driver_image, "driverImage")
    for name, module in spec.modules.items():
        path = f"modules.{name}"
        if name.lower() in _SYSTEM:
            yield finding("ModuleNameReserved", path, f"{shown(name)} is a system module's name")
        elif not _MODULE_NAME.fullmatch(name):
            yield finding("ModuleName", path, f"{shown(name)} cannot be the name of a module")
        else:
            yield from _kubernetes_name(name, path, names)
        yield from _module(name, module, path, spec)


def _kubernetes_name(name: str, path: str, names: dict[str, str]) -> Iterator[Finding]:
    try:
        mangled = sanitize_k8s_value(name)
    except RuleError as error:
        yield finding("ModuleName", path, error.message)
        return
    if mangled in names:
        yield finding(
            "ModuleNameCollision",
            path,
            f"{shown(name)} and {shown(names[mangled])} both become {shown(mangled)} in Kubernetes",
        )
    names.setdefault(mangled, name)
    if mangled != name:
        yield finding("ModuleNameMangled", path, f"{shown(name)} becomes {shown(mangled)} in Kubernetes")
    elif not _SERVICE_NAME.fullmatch(name):
        yield finding("ModuleNameMangled", path, f"{shown(name)} cannot be the name of a Service")


def _module(name: str, module: ModuleSpec, path: str, spec: Spec) -> Iterator[Finding]:
    yield from check_image(module.image, f"{path}.image")
    for env_name in module.env:
        if not _ENV_NAME.fullmatch(env_name):
            yield finding(
                "EnvName", f"{path}.env.{env_name}", f"{shown(env_name)} cannot be the name of an environment variable"
            )
    host_config = lookup(module.create_options, "HostConfig")
    if isinstance(host_config, Mapping):
        if lookup(host_config, "Privileged") is True:
            yield finding(
                "ModulePrivileged",
                f"{path}.createOptions.HostConfig.Privileged",
                f"module {shown(name)} runs privileged",
            )
        if str(lookup(host_config, "NetworkMode")).lower() == "host":
            yield finding(
                "ModuleHostNetwork",
                f"{path}.createOptions.HostConfig.NetworkMode",
                f"module {shown(name)} uses the host's network",
            )
    try:
        write_create_options(module.create_options)
    except CreateOptionsError as error:
        yield finding("CreateOptionsForm", f"{path}.createOptions", error.problem)
        return
    chunks = chunk_count(module.create_options)
    if chunks > WIDELY_SUPPORTED_CHUNKS:
        yield finding(
            "CreateOptionsChunks", f"{path}.createOptions", f"createOptions need {chunks} fields of 512 characters"
        )
    if name == MODULE_ID and module.desired is not None:
        yield finding(
            "WrongType",
            f"{path}.desired",
            "the desired properties of edge-expose come from network and exposures",
            hint="Remove desired here.",
        )
    if spec.driver == "manifest" and module.startup_order is not None:
        yield finding(
            "AgentOptionIgnored",
            f"{path}.startupOrder",
            "the Kubernetes edgeAgent has no start order",
            hint="Drop startupOrder.",
        )


def check_image(image: str, path: str) -> Iterator[Finding]:
    """Form and tag of an image reference."""
    if "${" in image:
        return
    if not image.strip():
        yield finding("ImageMissing", path, "the image is empty")
        return
    if not _IMAGE.fullmatch(image):
        yield finding("ImageForm", path, f"{shown(image)} is not an image reference")
        return
    if "@" in image:
        return
    last = image.rsplit("/", 1)[-1]
    tag = last.partition(":")[2]
    if tag in ("", "latest"):
        what = "has no tag, which means latest" if not tag else "has the tag latest, which moves"
        yield finding("ImageLatest", path, f"{shown(image)} {what}")


def _registries(spec: Spec) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for label, registry in spec.registries.items():
        path = f"registries.{label}"
        if not _LABEL_NAME.fullmatch(label):
            yield finding("RegistryName", path, f"{shown(label)} cannot be a registry label")
        if any(char.isspace() for char in registry.address):
            yield finding(
                "RegistryName", f"{path}.address", "a registry address has no blanks", hint="Write host or host:port."
            )
        if registry.address in seen:
            yield finding(
                "RegistryDuplicate", path, f"{shown(label)} and {shown(seen[registry.address])} have one address"
            )
        seen.setdefault(registry.address, label)
        if not is_placeholder(registry.password):
            # The value itself never appears in a message.
            yield finding(
                "SecretInClear", f"{path}.password", f"the password of registry {shown(label)} stands in the file"
            )


def _routes(spec: Spec, declared: set[str]) -> Iterator[Finding]:
    known = declared | {MODULE_ID}
    if not spec.add_edge_hub:
        text = "addEdgeHub: false leaves $edgeHub out, and it"
        if spec.routes:
            yield finding("EdgeHubLeftOut", "routes", f"{text} holds the routes")
        if spec.runtime.time_to_live_secs != Runtime().time_to_live_secs:
            yield finding("EdgeHubLeftOut", "runtime.timeToLiveSecs", f"{text} holds the time to live")
    for name, entry in spec.routes.items():
        path = f"routes.{name}"
        if not _LABEL_NAME.fullmatch(name):
            yield finding("RouteName", path, f"{shown(name)} cannot be the name of a route")
        text = entry.route if isinstance(entry, Route) else entry
        found = list(check_route_text(text, path))
        yield from found
        if has_errors(found):
            continue
        for module in modules_in_route(text):
            if module not in known and not spec.target.layered:
                yield finding(
                    "RouteModuleUnknown", path, f"the route names module {shown(module)}, which this spec does not have"
                )
