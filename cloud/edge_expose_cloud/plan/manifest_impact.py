"""What a change of a deployment manifest takes away: modules, published ports, registries, routes, documents. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options
from edge_expose_cloud.manifest.encoding import same_meaning
from edge_expose_cloud.plan.model import Impact
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import same_json


def manifest_impact(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Impact, ...]:
    """Modules, published ports, registries and routes that go. Both map a module to its desired properties; what only
    `after` lacks as a whole (a twin that the manifest does not write) stays as it is."""
    found: list[Impact] = []
    if "$edgeAgent" in before and "$edgeAgent" in after:
        found += _agent_impact(before["$edgeAgent"], after["$edgeAgent"])
    if "$edgeHub" in before and "$edgeHub" in after:
        found += _route_impact(_section(before["$edgeHub"], "routes"), _section(after["$edgeHub"], "routes"))
    for module in sorted(before.keys() & after.keys() - {"$edgeAgent", "$edgeHub", MODULE_ID}):
        found += _document_impact(module, _section(before, module), _section(after, module))
    return tuple(found)


def _document_impact(module: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Impact]:
    """Our own module's document is told by its Services; of another's, only what goes as a whole is known to matter."""
    gone = sorted(before.keys() - after.keys())
    if gone and not after:
        yield Impact(
            "document", module, f"the desired properties of the module {module} are cleared: {', '.join(gone)}"
        )
    elif gone:
        yield Impact("document", module, f"the module {module} loses its desired properties {', '.join(gone)}")


def _route_impact(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Impact]:
    """A route that only gets another name goes on."""
    for route in sorted(before.keys()):
        if route not in after and before[route] not in after.values():
            yield Impact("route", route, f"the route {route} is removed: its messages go nowhere")
        elif route in after and before[route] != after[route]:
            yield Impact("route", route, f"the route {route} changes: its messages go another way")


def _agent_impact(before: Any, after: Any) -> Iterator[Impact]:
    for module in _gone(before, after, "modules"):
        yield Impact("module", module, f"the module {module} is removed from the device")
    then = {**_section(after, "modules"), **_section(after, "systemModules")}
    for module, entry in {**_section(before, "modules"), **_section(before, "systemModules")}.items():
        if _runs(entry) and module in then and not _runs(then[module]):
            means = (
                "its Services stay, and nobody keeps them" if module == MODULE_ID else "nothing that it serves answers"
            )
            yield Impact("module", module, f"the module {module} is stopped: {means}")
        elif module in then and (change := _restart(entry, then[module])):
            yield Impact("restarts", module, f"the module {module} restarts: {change}")
        for port in unpublished_ports(entry, then[module]) if module in then else ():
            yield Impact("port", module, f"the module {module} no longer publishes {port} on the device")
        for port in unpublished_ports(then[module], entry) if module in then else ():
            yield Impact("opens", module, f"the module {module} publishes {port} on the device")
    settings = ("runtime", "settings", "registryCredentials")
    addresses = {_section(entry).get("address") for entry in _section(after, *settings).values()}
    for registry, entry in sorted(_section(before, *settings).items()):
        address = _section(entry).get("address", "")
        if address in addresses:
            continue
        text = f"the device forgets the credentials of the registry {registry} ({address})"
        yield Impact("registry", registry, text)


def _restart(before: Any, after: Any) -> str:
    """What makes edgeAgent start a module anew, "" for nothing."""
    old, new = _section(before, "settings").get("image"), _section(after, "settings").get("image")
    if old != new and old and new:
        return f"its image changes from {old} to {new}"
    if not same_json(_section(before, "env"), _section(after, "env")):
        return "its environment changes"
    return "its createOptions change" if not same_meaning(_options(before), _options(after)) else ""


def _options(module: Any) -> Mapping[str, Any]:
    try:
        return read_create_options(_section(module, "settings"))
    except CreateOptionsError:
        return {}


def _runs(module: Any) -> bool:
    return bool(_section(module).get("status", "running") == "running")


def unpublished_ports(before: Any, after: Any) -> list[str]:
    """`80/tcp (8080)`: target and published port of each entry of PortBindings that `after` lacks."""
    gone = _published(before) - _published(after)
    return [f"{target} (port {port})" if port else target for target, port in sorted(gone)]


def _published(module: Any) -> set[tuple[str, str]]:
    try:
        options = read_create_options(_section(module, "settings"))
    except CreateOptionsError:
        return set()
    bindings = _section(options, "HostConfig", "PortBindings")
    return {
        (target, str(entry.get("HostPort") or ""))
        for target, entries in bindings.items()
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping)
    }


def _gone(before: Any, after: Any, *keys: str) -> list[str]:
    return sorted(_section(before, *keys).keys() - _section(after, *keys).keys())


def _section(value: Any, *keys: str) -> Mapping[str, Any]:
    """The mapping at this path, empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
