"""Reads a desired section as the module must: one bad exposure never spoils the others, bad input is a value.

A twin may come from a newer cloud or from a person typing into the Azure portal, so unknown fields are warnings here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edge_expose_contract.identity import SCHEMA_VERSION, SUPPORTED_MAJOR, Code
from edge_expose_contract.models import Change, Exposure, Site
from edge_expose_contract.names import check_exposure_name
from edge_expose_contract.violations import RuleError, Violation, escaped, from_pydantic, shown, unknown_locations

M = TypeVar("M", bound=BaseModel)
_TOP_LEVEL = frozenset({"schemaVersion", "site", "exposures", "confirmRemoval", "change"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """The document as a whole is not accepted; everything that runs stays."""

    code: Code
    description: str


@dataclass(frozen=True, slots=True)
class DesiredDocument:
    """An accepted document.

    `exposures` are the valid ones; `invalid` names the others with every rule they break; `site` is None when the
    section is absent or broken (then `site_violations` says why, and the last good site stands in).
    """

    exposures: Mapping[str, Exposure]
    invalid: Mapping[str, tuple[Violation, ...]] = field(default_factory=dict)
    site: Site | None = None
    site_violations: tuple[Violation, ...] = ()
    warnings: tuple[Violation, ...] = ()
    confirm_removal: str | None = None
    change: Change | None = None
    """Who wrote it; one that makes no sense is a warning."""

    @property
    def names(self) -> frozenset[str]:
        """Every exposure the document mentions, valid or not."""
        return frozenset(self.exposures) | frozenset(self.invalid)


def parse_desired(document: object, *, unknown_is_error: bool = False) -> DesiredDocument | Refusal:
    """`document` is the desired section as the twin gives it; keys that start with `$` are the hub's, and skipped."""
    if not isinstance(document, dict):
        return Refusal(Code.MALFORMED, f"desired properties are {shown(document)}, not an object")
    content: dict[str, Any] = {key: value for key, value in document.items() if not str(key).startswith("$")}
    refusal = _check_version(content) or _check_exposures(content)
    if refusal is not None:
        return refusal
    warnings = [
        Violation(
            escaped(str(key)),
            "UnknownField",
            "this field is not known here",
            "is the module older than the cloud tool?",
        )
        for key in content
        if key not in _TOP_LEVEL
    ]
    site, site_violations = _parse_part(Site, content.get("site"), "site", unknown_is_error, warnings)
    exposures: dict[str, Exposure] = {}
    invalid: dict[str, tuple[Violation, ...]] = {}
    for key, raw in sorted(content["exposures"].items()):
        if raw is None:
            continue
        name = escaped(key)
        exposure, violations = parse_exposure(name, raw, unknown_is_error=unknown_is_error, warnings=warnings)
        if exposure is None or violations:
            invalid[name] = violations
        else:
            exposures[name] = exposure
    confirm = content.get("confirmRemoval")
    change, change_violations = _parse_part(Change, content.get("change"), "change", unknown_is_error, warnings)
    warnings.extend(change_violations)
    return DesiredDocument(
        exposures=exposures,
        invalid=invalid,
        site=site,
        site_violations=site_violations,
        warnings=tuple(warnings),
        confirm_removal=escaped(confirm) if isinstance(confirm, str) else None,
        change=change,
    )


def parse_site(raw: object) -> tuple[Site | None, tuple[Violation, ...]]:
    """The site with all its violations, paths starting with `site`; fields not known here are passed over."""
    return _parse_part(Site, raw, "site", False, [])


def parse_exposure(
    name: str, raw: object, *, unknown_is_error: bool = False, warnings: list[Violation] | None = None
) -> tuple[Exposure | None, tuple[Violation, ...]]:
    """One exposure with all its violations, paths starting with `exposures.<name>`."""
    path = f"exposures.{name}"
    name_violations: tuple[Violation, ...] = ()
    try:
        check_exposure_name(name)
    except RuleError as error:
        name_violations = (Violation(path, error.rule, error.message, error.hint),)
    exposure, violations = _parse_part(Exposure, raw, path, unknown_is_error, warnings if warnings is not None else [])
    if exposure is None and not violations:
        violations = (
            Violation(
                path, "InvalidValue", "an exposure is an object", 'such as {"module": "web", "ports": ["8080:80"]}'
            ),
        )
    return exposure, name_violations + violations


def _check_version(content: Mapping[str, Any]) -> Refusal | None:
    version = content.get("schemaVersion")
    if version is None:
        return Refusal(Code.EMPTY, 'schemaVersion is missing: nothing is removed; write "schemaVersion": "1.0"')
    match = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})", version) if isinstance(version, str) else None
    if match is None:
        return Refusal(Code.MALFORMED, f'schemaVersion {shown(version)} is not of the form "1.0"')
    if int(match[1]) != SUPPORTED_MAJOR:
        return Refusal(
            Code.UNKNOWN_SCHEMA,
            f"schemaVersion {version} is not known to this module, which reads {SCHEMA_VERSION}; update the module",
        )
    return None


def _check_exposures(content: Mapping[str, Any]) -> Refusal | None:
    exposures = content.get("exposures")
    if exposures is None:
        return Refusal(Code.EMPTY, 'exposures is missing: nothing is removed; to remove all write "exposures": {}')
    if not isinstance(exposures, dict):
        return Refusal(Code.MALFORMED, f"exposures is {shown(exposures)}, not an object keyed by name")
    return None


def _parse_part(
    model: type[M], raw: object, path: str, unknown_is_error: bool, warnings: list[Violation]
) -> tuple[M | None, tuple[Violation, ...]]:
    if raw is None:
        return None, ()
    if not isinstance(raw, dict):
        return None, (Violation(path, "InvalidValue", f"{shown(raw)} is not an object", "write an object of fields"),)
    try:
        # What is kept must be fit to be written, to the state file and into Services.
        json.dumps(raw, ensure_ascii=False, default=str, skipkeys=True).encode()
        return _validated(model, raw, path, unknown_is_error, warnings)
    except UnicodeEncodeError:
        what, hint = "a text here is no Unicode: half of a surrogate pair", "write the whole character"
    except RecursionError:
        what, hint = "this nests too deeply to be read", "flatten it"
    return None, (Violation(path, "InvalidValue", what, hint),)


def _validated(
    model: type[M], raw: dict[str, Any], path: str, unknown_is_error: bool, warnings: list[Violation]
) -> tuple[M | None, tuple[Violation, ...]]:
    # In a merged twin document a null is a key on its way out.
    present = {key: value for key, value in raw.items() if value is not None}
    try:
        return model.model_validate(present), ()
    except ValidationError as error:
        found = from_pydantic(error, path)
        unknown_fields = unknown_locations(error)
    if unknown_is_error:
        return None, tuple(found)
    unknown = [violation for violation in found if violation.rule == "UnknownField"]
    if not unknown:
        return None, tuple(found)
    known = _without(present, unknown_fields)
    warnings.extend(unknown)
    try:
        return model.model_validate(known), ()
    except ValidationError as error:
        return None, tuple(from_pydantic(error, path))


def _without(value: dict[str, Any], locations: list[tuple[str | int, ...]]) -> dict[str, Any]:
    """A copy without the fields at these places."""
    copy: dict[str, Any] = _deep(value)
    for location in locations:
        node: Any = copy
        for part in location[:-1]:
            node = node[part]
        node.pop(location[-1], None)
    return copy


def _deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _deep(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_deep(item) for item in value]
    return value
