"""Registry credentials of a manifest, before anything else looks at it: their secrets become references. Pure.

Credentials stand below a key `registryCredentials`, however many of the keys above it are written as one dotted key.
Addresses and user names stay; any other text or number there may be a secret. Keys are compared as edgeAgent does, in
any case.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any, Final

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.spec.variables import secret_names

Json = dict[str, Any]

CREDENTIALS: Final = "registrycredentials"
_SHOWN: Final = frozenset({"address", "username"})
_REFERENCE: Final = re.compile(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}")
_LATER: Final = re.compile(r"\$\{[^{}]*\}")


class Reference(str):
    """`${env:NAME}` that means a secret, whatever becomes of other text that reads like one."""

    __slots__ = ()


def without_secrets(content: Mapping[str, Any], *, template: bool) -> tuple[Json, list[Finding]]:
    """The content with references, and a finding for each that was put in. `template`: `${NAME}` alone is a placeholder
    that another tool fills in, as in a file; on a live device it is a password like any other."""
    sealing = _Sealing(content, template)
    return {twin: sealing.walk(section, ()) for twin, section in content.items()}, sealing.findings


class _Sealing:
    def __init__(self, content: Mapping[str, Any], template: bool) -> None:
        self.findings: list[Finding] = []
        self._template = template
        self._taken = secret_names(content)

    def walk(self, value: Any, trail: tuple[str, ...]) -> Any:
        """Down to the credentials; `trail` are the keys above, dotted ones taken apart."""
        for depth, key in enumerate(trail):
            if key.lower() == CREDENTIALS:
                return self._sealed(value, trail[depth + 1 :])
        match value:
            case Mapping():
                return {key: self.walk(item, (*trail, *key.split("."))) for key, item in value.items()}
            case list():
                return [self.walk(item, trail) for item in value]
            case _:
                return value

    def _sealed(self, value: Any, trail: tuple[str, ...]) -> Any:
        last = trail[-1].lower() if trail else ""
        match value:
            case Mapping():
                return {key: self._sealed(item, (*trail, *key.split("."))) for key, item in value.items()}
            case list():
                return [self._sealed(item, (*trail, str(number))) for number, item in enumerate(value, 1)]
            case bool() | None | "":
                return value
            case str() if len(trail) == 2 and last in _SHOWN:
                return value
            case str() if _REFERENCE.fullmatch(value):
                return Reference(value)
            case str() if self._template and _LATER.fullmatch(value):
                return value
            case _:
                return self._reference(trail)

    def _reference(self, trail: tuple[str, ...]) -> Reference:
        words = re.sub(r"[^A-Z0-9]+", "_", "_".join(trail or ("registries",)).upper()).strip("_")
        base = words if re.match(r"[A-Z_]", words) else f"_{words}"
        name = next(wish for n in itertools.count(1) if (wish := base if n == 1 else f"{base}_{n}") not in self._taken)
        self._taken.add(name)
        path = ".".join(("registries", *trail))
        self.findings.append(finding("ImportPassword", path, f"the value became ${{env:{name}}}"))
        return Reference(f"${{env:{name}}}")


def registry_of(entry: object) -> Json | None:
    """Credentials that a spec has fields for, or None; what stands beside them is kept as it was."""
    if not isinstance(entry, Mapping):
        return None
    fields = {key: entry.get(key) for key in ("address", "username", "password")}
    whole = all(isinstance(value, str) for value in fields.values()) and fields["address"]
    return fields if whole else None
