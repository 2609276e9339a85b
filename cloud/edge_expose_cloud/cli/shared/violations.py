"""Everything that is wrong with a file: a spec, for its device or each of an inventory, or a deployment manifest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_expose_cloud.cli.shared.files import Source, is_template, read_inventory, read_source, spec_from_source
from edge_expose_cloud.findings.finding import Finding, in_reading_order
from edge_expose_cloud.manifest.checks import check_manifest
from edge_expose_cloud.manifest.spec_checks import check_rendered
from edge_expose_cloud.spec.load import SpecReader

if TYPE_CHECKING:
    from edge_expose_cloud.spec.inventory import Inventory


def violations_of(file: str, fleet: str | None) -> list[Finding]:
    """In reading order. InputError when there is no such file, or none that can be read."""
    source = read_source(file)
    locate = source.document.locate
    if source.is_manifest:
        return in_reading_order(locate(item) for item in check_manifest(source.manifest()))
    if fleet and is_template(source):
        return _each_device(source, read_inventory(fleet))
    loaded = spec_from_source(source, read_inventory(fleet) if fleet else None)
    if loaded.spec is None:
        return loaded.findings
    known = {(item.rule, item.path) for item in loaded.findings}
    rendered = [item for item in check_rendered(loaded.spec) if (item.rule, item.path) not in known]
    return in_reading_order([*loaded.findings, *loaded.located(rendered)])


def _each_device(source: Source, inventory: Inventory) -> list[Finding]:
    """A spec for `${deviceId}` as each device sees it; what is wrong for many is shown once, with the first of them."""
    found: dict[tuple[str, str, int], Finding] = {}
    reader = SpecReader(source.document, inventory)
    for device in sorted(inventory.devices):
        loaded = reader.read(device)
        for item in loaded.findings:
            found.setdefault(
                (item.rule, item.path, item.line), replace(item, message=f"device {device}: {item.message}")
            )
    return in_reading_order(found.values())
