"""From plain data, variables filled in, to a Spec: each exposure by the contract, the rest by the model. Pure.

What stands in the data as the very same object as last time (another device, the same document) is not parsed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.findings.from_contract import findings_of
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.spec.pruning import refused_paths, without
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import parse_exposure
from edge_expose_contract.violations import from_pydantic, shown

_FIELDS: Final = {field.alias or name: name for name, field in Spec.model_fields.items()}
_NONE: Final = object()


class SpecBuilder:
    """Builds one spec after the other."""

    def __init__(self) -> None:
        self._exposures = _Exposures()
        self._written: Mapping[str, Any] = {}
        self._spec: Spec | None = None

    def build(self, data: dict[str, Any]) -> tuple[Spec | None, list[Finding]]:
        """Each exposure shows all its violations, also beside a broken spec."""
        exposures, found = self._exposures.parse(data.get("exposures", {}))
        spec, wrong = self._rest({key: value for key, value in data.items() if key != "exposures"})
        found = [*found, *wrong]
        return None if spec is None else spec.model_copy(update={"exposures": exposures}), found

    def _rest(self, written: dict[str, Any]) -> tuple[Spec | None, list[Finding]]:
        last, before = self._spec, self._written
        self._written, self._spec = written, None
        same = {} if last is None else {key: getattr(last, name) for key, name in _same(written, before)}
        rest = {key: same[key] if key in same else _present(value) for key, value in written.items()}
        try:
            spec = Spec.model_validate(rest)
        except ValidationError:
            return _without_errors({key: _present(value) for key, value in written.items()})
        # A mapping that was parsed is a copy; who asks for the same objects gets them.
        self._spec = spec.model_copy(update={_FIELDS[key]: value for key, value in same.items()})
        return self._spec, []


def _same(written: Mapping[str, Any], before: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Key and field of everything that is the same object in both, or in neither."""
    return [(key, name) for key, name in _FIELDS.items() if written.get(key, _NONE) is before.get(key, _NONE)]


class _Exposures:
    """The exposures of one document, each parsed once for as long as it stays the same."""

    def __init__(self) -> None:
        self._raw: object = None
        self._entries: dict[str, tuple[object, Exposure | None, list[Finding]]] = {}
        self._made: dict[str, Exposure] = {}
        self._found: list[Finding] = []

    def parse(self, raw: object) -> tuple[dict[str, Exposure], list[Finding]]:
        """The exposures that are right, and what is wrong with the others."""
        if raw is not self._raw:
            self._raw, self._found = raw, []
            if not isinstance(raw, dict):
                what = f"exposures is {shown(raw)}, not a mapping of names"
                self._found, raw = [finding("WrongType", "exposures", what)], {}
            before, self._entries = self._entries, {}
            for name, entry in raw.items():
                known = before.get(name)
                self._entries[name] = known if known is not None and known[0] is entry else _parsed(name, entry)
            self._made = {name: made for name, (_, made, _) in self._entries.items() if made is not None}
            self._found += [item for _, _, items in self._entries.values() for item in items]
        return self._made, self._found


def _parsed(name: str, entry: object) -> tuple[object, Exposure | None, list[Finding]]:
    if entry is None:
        return entry, None, [finding("MissingField", f"exposures.{name}", f"exposure {shown(name)} is empty")]
    exposure, violations = parse_exposure(name, entry, unknown_is_error=True)
    return entry, exposure, findings_of(violations)


def _without_errors(data: dict[str, Any]) -> tuple[Spec | None, list[Finding]]:
    """What is wrong, and the spec without the pieces that are, so that the rest is checked (None: nothing left)."""
    try:
        return Spec.model_validate(data), []
    except ValidationError as error:
        found = findings_of(from_pydantic(error))
        try:
            return Spec.model_validate(without(data, refused_paths(data, error))), found
        except ValidationError:
            return None, found


def _present(value: Any) -> Any:
    """Sections and entries written with nothing behind the colon count as left out, one level down as well."""
    if isinstance(value, dict):
        return {
            key: {} if item is None and isinstance(key, str) else item
            for key, item in value.items()
            if item is not None
        }
    return value
