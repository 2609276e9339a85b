"""Where in an imported spec values stand that may be secrets: named, or replaced by `${env:NAME}`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.manifest.redaction import hide_options, hide_pairs, hide_twins

Json = dict[str, Any]

_PAIRS: Final = ("annotations", "labels")


def values_printed(spec: Json) -> list[Finding]:
    """A finding for each part of the spec with such values."""
    return [_printed_at(path, places) for path, places in _parts(spec)]


def values_hidden(spec: Json, *, desired: bool) -> list[Finding]:
    """The same, and puts `${env:NAME}` for each value.

    `desired`: also in desired properties of other modules, which may be of any kind; else those are left out, and stay
    on the hub.
    """
    findings = [_hidden_at(path, places, left_out=not desired) for path, places in _parts(spec)]
    references = _References()
    for path, body in _bodies(spec):
        _hide(path.rpartition(".")[2], body, references, desired=desired)
    for name, exposure in spec.get("exposures", {}).items():
        exposure |= {key: _hide_pairs(name, exposure[key], references) for key in _hidden_pairs(exposure)}
    if "keep" in spec:
        spec["keep"] = _beside(spec["keep"], hide_twins(spec["keep"]), "keep", references)
    return findings


def _parts(spec: Json) -> Iterator[tuple[str, list[str]]]:
    """(path, what stands there) of each part of the spec with values that may be secrets."""
    found = [(path, _places(body)) for path, body in _bodies(spec)]
    found += [(f"exposures.{name}", _hidden_pairs(exposure)) for name, exposure in spec.get("exposures", {}).items()]
    kept = spec.get("keep", {})
    shown = hide_twins(kept)
    found.append(("keep", [twin for twin in kept if shown[twin] != kept[twin]]))
    yield from ((path, places) for path, places in found if places)


def _hidden_pairs(exposure: Json) -> list[str]:
    return [key for key in _PAIRS if hide_pairs(exposure).get(key) != exposure.get(key)]


def _printed_at(path: str, places: list[str]) -> Finding:
    return finding("ExportedValues", path, f"printed as they are: {', '.join(places)}")


def _hidden_at(path: str, places: list[str], *, left_out: bool) -> Finding:
    text = f"values that may be secrets are not printed: {', '.join(places)}"
    hint = "Set the variables referred to before it is applied"
    hint += "; what is left out stays on the hub." if left_out and "desired" in places else "."
    return finding("ExportedValues", path, text, hint=hint, severity="info")


class _References:
    """Names of environment variables: one for each value, so that two modules may call two values alike. They begin
    with the module's: `${env:PATH}` would be filled in from the environment of whoever applies the spec."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def to(self, value: Any, wish: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_]", "_", wish)
        base = base if re.match("[A-Za-z_]", base) else f"_{base}"
        name, number = base, 1
        while self._values.setdefault(name, str(value)) != str(value):
            number += 1
            name = f"{base}_{number}"
        return f"${{env:{name}}}"


def _bodies(spec: Json) -> Iterator[tuple[str, Json]]:
    """The modules, those of the system as well, by their path in the spec."""
    for section in ("runtime", "modules"):
        for name, body in spec.get(section, {}).items():
            if isinstance(body, dict):
                yield f"{section}.{name}", body


def _places(body: Json) -> list[str]:
    """Where in a module values stand that may be secrets."""
    options = _options(body)
    shown = hide_options(options)
    found = [f"createOptions.{key}" for key, value in options.items() if shown[key] != value]
    return [key for key in ("env", "desired") if body.get(key)] + found


def _options(body: Json) -> Mapping[str, Any]:
    options = body.get("createOptions")
    return options if isinstance(options, Mapping) else {}


def _hide(module: str, body: Json, references: _References, *, desired: bool) -> None:
    if "env" in body:
        body["env"] = {name: references.to(value, f"{module}_{name}") for name, value in body["env"].items()}
    if "createOptions" in body:
        options = _options(body)
        body["createOptions"] = _beside(options, hide_options(options), module, references)
    if "desired" in body and desired:
        body["desired"] = _hidden(body["desired"], module, references)
    else:
        body.pop("desired", None)


def _hide_pairs(name: str, pairs: list[str], references: _References) -> list[str]:
    """`key=value` entries, those that may hold a secret with a reference for their value."""
    found = []
    for pair, shown in zip(pairs, hide_pairs({"annotations": pairs})["annotations"], strict=True):
        key, _, value = pair.partition("=")
        found.append(pair if pair == shown else f"{key}={references.to(value, f'{name}_{key}')}")
    return found


def _beside(value: Any, redacted: Any, place: str, references: _References) -> Any:
    """The value, with references where it is redacted."""
    if value == redacted:
        return value
    if isinstance(value, dict) and isinstance(redacted, dict):
        return {key: _beside(item, redacted.get(key), f"{place}_{key}", references) for key, item in value.items()}
    if isinstance(value, list) and isinstance(redacted, list) and len(value) == len(redacted):
        pairs = enumerate(zip(value, redacted, strict=True), 1)
        return [_beside(item, hidden, f"{place}_{number}", references) for number, (item, hidden) in pairs]
    return _hidden(value, place, references)


def _hidden(value: Any, place: str, references: _References) -> Any:
    """Texts of one field of createOptions as references; of `NAME=value` only the value."""
    match value:
        case dict():
            return {key: _hidden(item, f"{place}_{key}", references) for key, item in value.items()}
        case list():
            return [_hidden(item, f"{place}_{number}", references) for number, item in enumerate(value, 1)]
        case str():
            name, equals, text = value.partition("=")
            if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
                return f"{name}={references.to(text, f'{place}_{name}')}"
            return references.to(value, place)
        case _:
            return value
