"""From a manifest, or the twins of a live device, to a spec that renders to the same. Pure.

Stages: what IoT Hub takes ▸ createOptions become objects ▸ secrets become references ▸ fields of the spec ▸ `keep` for
the rest ▸ what even that does not give back ▸ text that reads like a variable is escaped. Every way in which the
rendered may differ from what came in is a row of `findings.rules.imports.DIFFERENCES`, named by a finding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.manifest.content import ManifestDocument
from edge_expose_cloud.manifest.encoding import decode_content
from edge_expose_cloud.manifest.imports.fields import fields_of, model_of
from edge_expose_cloud.manifest.imports.registries import Reference, without_secrets
from edge_expose_cloud.manifest.imports.rest import lost_of, rest_of, sound_content, told_of
from edge_expose_cloud.manifest.imports.target import heading_of
from edge_expose_cloud.spec.variables import map_texts

Json = dict[str, Any]

_VARIABLE: Final = re.compile(r"\$\{(env:[A-Za-z_][A-Za-z0-9_]*\})?")


def spec_of(
    content: Mapping[str, Any], name: str, target: Json, *, references: bool = True
) -> tuple[Json, list[Finding]]:
    """(spec as plain data, how it differs and what is kept). `references`: `${env:NAME}` stays one, as in what `render`
    prints; on a live device it is text like any other."""
    sound, found = sound_content(content)
    wanted, sealed = without_secrets(decode_content(sound), template=references)
    spec = fields_of(wanted, name, target)
    model = model_of(spec)
    keep = rest_of(model, wanted)
    found += sealed + told_of(keep) + lost_of(model.model_copy(update={"keep": keep}), wanted)
    if keep:
        spec["keep"] = keep
    return {key: _escaped(value, references, key, found) for key, value in spec.items()}, found


def spec_of_manifest(
    document: ManifestDocument, fallback: str, *, name: str | None = None, device: str | None = None
) -> tuple[Json, list[Finding]]:
    """The same for a manifest file: one device's, or that of an automatic deployment with what stands around it.

    `name` and `device` win over what the document says; `fallback` is the name of one that says none.
    """
    heading = heading_of(document, fallback, name, device)
    spec, found = spec_of(document.content, heading.name, heading.target)
    if heading.labels:
        spec["labels"] = _escaped(heading.labels, True, "labels", found)
    return spec, [*document.warnings, *heading.findings, *found]


def _escaped(value: Any, references: bool, section: str, found: list[Finding]) -> Any:
    """`${` of the manifest is text, and a spec would fill it in: `$${` says that it is text."""
    named: dict[str, None] = {}

    def escape(match: re.Match[str]) -> str:
        if references and match[1] is not None:
            named[match[0]] = None
            return match[0]
        return f"$${{{match[0][2:]}"

    def text(written: str) -> str:
        return str(written) if isinstance(written, Reference) else _VARIABLE.sub(escape, written)

    changed = map_texts(value, text)
    found += [finding("ImportReference", section, f"{one} stays a reference to a secret") for one in named]
    return changed
