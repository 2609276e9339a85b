"""`${name}` from the inventory and `${env:NAME}` secrets, in any text of a spec. Pure: the values are handed in.

Variables are filled in when the spec is loaded. Secrets stay references until something is sent: rendered manifests,
plans and messages show `${env:NAME}`, never the value. `$${` stands for a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_cloud.findings.finding import Finding, finding

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLACEHOLDER = re.compile(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}|\$\$\{[^{}]*\}")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Template:
    """Data that was looked through once for `${...}` and is filled in for one device after the other.

    What holds no reference is handed out as it is, the same object each time: who compares by identity knows that
    nothing changed there.
    """

    value: Any
    path: str
    parts: tuple[tuple[Any, Template], ...] = ()
    """Key or index -> the parts that hold a reference; a text that is one has none."""

    def fill(self, variables: Mapping[str, Any]) -> tuple[Any, list[Finding]]:
        """The data with every `${name}` replaced; a text that is one reference takes the variable's type."""
        found: list[Finding] = []
        return self._filled(variables, found), found

    def _filled(self, variables: Mapping[str, Any], found: list[Finding]) -> Any:
        if isinstance(self.value, str):
            return _fill_text(self.value, variables, self.path, found)
        copy = self.value.copy()
        for place, part in self.parts:
            copy[place] = part._filled(variables, found)
        return copy


def template_of(value: Any, path: str = "") -> Template | None:
    """None for data without any reference."""
    match value:
        case dict():
            pairs = [(key, template_of(item, f"{path}.{key}" if path else key)) for key, item in value.items()]
        case list():
            pairs = [(index, template_of(item, f"{path}[{index}]")) for index, item in enumerate(value)]
        case str() if "${" in value:
            return Template(value, path)
        case _:
            return None
    parts = tuple((place, part) for place, part in pairs if part is not None)
    return Template(value, path, parts) if parts else None


def _fill_text(text: str, variables: Mapping[str, Any], path: str, found: list[Finding]) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole and whole[1] is not None and whole[2] and whole[1] in variables:
        return variables[whole[1]]

    def replace(match: re.Match[str]) -> str:
        if match[1] is None or (_ENV.fullmatch(match[1]) and match[2]):
            return match[0]
        if not match[2] or not _NAME.fullmatch(match[1]):
            found.append(finding("VariableSyntax", path, f"{match[0]!r} is not a reference"))
            return match[0]
        if match[1] not in variables:
            found.append(finding("VariableUnknown", path, f"${{{match[1]}}} has no value here"))
            return match[0]
        return str(variables[match[1]])

    return _REFERENCE.sub(replace, text)


def is_placeholder(text: str) -> bool:
    """Whether a text is one reference to a secret, or one placeholder that another tool fills in (`$${NAME}`)."""
    return _PLACEHOLDER.fullmatch(text) is not None


def secret_names(value: Any) -> set[str]:
    """Every NAME of `${env:NAME}` in the data."""
    return set(secret_places(value))


def secret_places(value: Any) -> dict[str, str]:
    """NAME of each `${env:NAME}` in the data -> the path of the first text that refers to it."""
    found: dict[str, str] = {}
    for path, text in _texts(value, ""):
        for match in re.finditer(r"(?<!\$)\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", text):
            found.setdefault(match[1], path)
    return found


def resolve_secrets(value: Any, lookup: Callable[[str], str | None]) -> tuple[Any, list[str]]:
    """The data with every `${env:NAME}` replaced and `$${` unescaped, and the names that have no value."""
    missing: set[str] = set()

    def one(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        name = _ENV.fullmatch(match[1])
        if name is None or not match[2]:
            return match[0]
        found = lookup(name[1])
        if found is None:
            missing.add(name[1])
            return match[0]
        return found

    return map_texts(value, lambda text: _REFERENCE.sub(one, text)), sorted(missing)


def map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """The same data with every text value (not the keys) changed."""
    match value:
        case dict():
            return {key: map_texts(item, change) for key, item in value.items()}
        case list():
            return [map_texts(item, change) for item in value]
        case str():
            return change(value)
        case _:
            return value


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _texts(item, f"{path}.{key}" if path else str(key))
        case list():
            for index, item in enumerate(value):
                yield from _texts(item, f"{path}[{index}]")
        case str():
            yield path, value
