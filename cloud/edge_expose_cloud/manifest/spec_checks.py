"""Checks the manifest that a spec renders to; what is wrong is told by its place in the spec. Pure."""

from __future__ import annotations

from dataclasses import replace

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.manifest.checks import check_manifest
from edge_expose_cloud.manifest.content import ManifestDocument
from edge_expose_cloud.manifest.render import render
from edge_expose_cloud.spec.model import Spec
from edge_expose_contract.identity import MODULE_ID


def check_rendered(spec: Spec, *, later: bool = False) -> list[Finding]:
    """Every finding of the manifest, with the path of the spec that it was rendered from. `later`: the manifest is a
    template, and another tool fills in what is `$${NAME}` in the spec. May raise CreateOptionsError."""
    found = check_manifest(ManifestDocument(render(spec)["modulesContent"], "", later=later))
    return [replace(item, path=spec_path(item.path, spec)) for item in found]


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
