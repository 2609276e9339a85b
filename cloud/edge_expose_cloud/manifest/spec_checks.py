"""Checks the manifest that a spec renders to; what is wrong is told by its place in the spec. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.iotedge.edge_agent import predict_services
from edge_expose_cloud.manifest.checks import check_manifest
from edge_expose_cloud.manifest.content import ManifestDocument
from edge_expose_cloud.manifest.render import render
from edge_expose_cloud.spec.model import Route, Spec
from edge_expose_contract.identity import MODULE_ID

# What every schema of ours takes; all other values the models hold to no less than the schemas want.
_MODULE_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_PLAIN_NAME = re.compile(r"[^+#$\s.]+")
_ADDRESS = re.compile(r"\S+")
_ONE_LINE = re.compile(r".+")


def check_rendered(spec: Spec, *, later: bool = False) -> list[Finding]:
    """Every finding of the manifest, with the path of the spec that it was rendered from. `later`: the manifest is a
    template, and another tool fills in what is `$${NAME}` in the spec. May raise CreateOptionsError."""
    document = ManifestDocument(render(spec)["modulesContent"], "", later=later)
    found = check_manifest(document, by_schema=may_break_a_schema(spec))
    if spec.driver == "manifest":
        found += _made_by_agent(spec, document, found)
    return [replace(item, path=spec_path(item.path, spec)) for item in found]


def _made_by_agent(spec: Spec, document: ManifestDocument, known: Iterable[Finding]) -> list[Finding]:
    """What edgeAgent would make of the manifest as a whole: an exposure may clash with what a module publishes itself.
    What is wrong with createOptions has been found already."""
    refused = {item.path.partition(".settings")[0] for item in known if item.rule == "CreateOptionsForm"}
    prediction = predict_services(document.content, device_id=spec.target.device)
    return [item for item in prediction.findings if item.path.partition(".settings")[0] not in refused]


def may_break_a_schema(spec: Spec) -> bool:
    """False where nothing in the spec is anything that a schema could refuse once it is rendered."""
    env_names = [name for module in spec.modules.values() for name in module.env]
    env_names += [*spec.runtime.edge_agent.env, *spec.runtime.edge_hub.env]
    addresses = [registry.address for registry in spec.registries.values()]
    routes = [entry.route if isinstance(entry, Route) else entry for entry in spec.routes.values()]
    is_plain = (
        all(map(_MODULE_NAME.fullmatch, spec.modules))
        and all(map(_PLAIN_NAME.fullmatch, (*env_names, *spec.registries, *spec.routes)))
        and all(map(_ADDRESS.fullmatch, addresses))
        and all(map(_ONE_LINE.fullmatch, routes))
    )
    return bool(spec.keep) or not is_plain


def spec_path(path: str, spec: Spec) -> str:
    """`web.properties.desired.a` -> `modules.web.desired.a`; for what nobody wrote, the section it belongs to."""
    twin, _, rest = path.partition(".properties.desired")
    keys = [key for key in rest.split(".") if key]
    match twin, keys:
        case "$edgeAgent", ["modules", name, *inner]:
            place = ["modules", name, *_of_module(inner)]
        case "$edgeAgent", ["systemModules", name, *inner]:
            place = ["runtime", name, *_of_module(inner)]
        case "$edgeAgent", ["runtime", "settings", "registryCredentials", *inner]:
            place = ["registries", *inner]
        case "$edgeAgent", _:
            place = ["modules"]
        case "$edgeHub", ["storeAndForwardConfiguration", *inner]:
            place = ["runtime", *inner]
        case "$edgeHub", _:
            place = ["routes", *keys[1:]]
        case _, ["site", *inner] if twin == MODULE_ID:
            place = ["network", *inner]
        case _ if twin == MODULE_ID:
            place = ["exposures", *keys[1:]]
        case _ if twin in spec.modules:
            place = ["modules", twin, "desired", *keys]
        case _:
            place = ["keep", twin, *keys]
    return ".".join(place)


def _of_module(keys: list[str]) -> list[str]:
    match keys:
        case ["settings", "image", *_]:
            return ["image"]
        case ["settings", *_]:
            return ["createOptions"]  # whatever way they are cut into fields
        case ["env", name, *_]:
            return ["env", name]
        case _:
            return keys
