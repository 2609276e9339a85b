"""Specs, inventories and manifests from the files named on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge_expose_cloud.adapters.texts import read_text
from edge_expose_cloud.findings.finding import Finding, has_errors
from edge_expose_cloud.findings.problems import InputError
from edge_expose_cloud.manifest.content import ManifestDocument, looks_like_manifest, read_manifest
from edge_expose_cloud.spec.load import LoadedSpec, spec_from_data
from edge_expose_cloud.spec.text.documents import Document
from edge_expose_cloud.spec.text.yaml_lines import read_yaml
from edge_expose_contract.identity import MODULE_ID

if TYPE_CHECKING:
    from edge_expose_cloud.spec.inventory import Inventory


MODULE_IMAGE: Final = "EDGE_EXPOSE_MODULE_IMAGE"


@dataclass(frozen=True, slots=True)
class Source:
    """A document that was read, with its lines."""

    document: Document

    @property
    def is_manifest(self) -> bool:
        return looks_like_manifest(self.document.data)

    def manifest(self) -> ManifestDocument:
        found = read_manifest(self.document.data)
        if isinstance(found, Finding) or self.document.findings:
            more = [self.document.locate(found)] if isinstance(found, Finding) else []
            raise InputError([*self.document.findings, *more])
        return found

    @contextmanager
    def locating(self) -> Iterator[None]:
        """What is wrong with a spec only once it is used (its secrets, say) is told by this file and its lines."""
        try:
            yield
        except InputError as error:
            raise InputError([self.document.locate(item) for item in error.findings]) from None


def is_template(source: Source) -> bool:
    """Whether a spec is for each device of an inventory: `target: {device: "${deviceId}"}`."""
    target = source.document.data.get("target") if isinstance(source.document.data, dict) else None
    return isinstance(target, dict) and "${deviceId}" in str(target.get("device"))


def read_source(path: str) -> Source:
    """InputError when there is no such file or it is neither YAML nor JSON."""
    text = read_text(path)
    if isinstance(text, Finding):
        raise InputError([text])
    document = read_yaml(text, "stdin" if path == "-" else path)
    if isinstance(document, Finding):
        raise InputError([document])
    return Source(_with_module_image(document, os.environ.get(MODULE_IMAGE, "")))


def _with_module_image(document: Document, image: str) -> Document:
    """A spec that says nothing of the image of the module which is added to it gets the operator's."""
    data = document.data
    if not image or not isinstance(data, dict) or looks_like_manifest(data):
        return document
    modules = data.get("modules")
    listed = isinstance(modules, dict) and MODULE_ID in modules
    if listed or data.get("driver", "module") != "module" or data.get("driverImage") is not None:
        return document
    return replace(document, data={**data, "driverImage": image})


def read_spec(path: str, fleet: str | None, device: str | None = None) -> LoadedSpec:
    """A spec with the inventory's variables filled in; its findings may hold errors."""
    source = read_source(path)
    inventory = read_inventory(fleet) if fleet else None
    return spec_from_source(source, inventory, device)


def spec_from_source(source: Source, inventory: Inventory | None, device: str | None = None) -> LoadedSpec:
    return spec_from_data(source.document, inventory, device)


def read_inventory(path: str) -> Inventory:
    from edge_expose_cloud.spec.checks.fleet import lint_fleet
    from edge_expose_cloud.spec.inventory import load_inventory

    text = read_text(path)
    if isinstance(text, Finding):
        raise InputError([text])
    inventory, findings = load_inventory(text, path)
    if inventory is not None:
        found = lint_fleet(inventory)
        document = read_yaml(text, path) if found else None
        findings = findings + [document.locate(item) for item in found if isinstance(document, Document)]
    if inventory is None or has_errors(findings):
        raise InputError(findings)
    return inventory
