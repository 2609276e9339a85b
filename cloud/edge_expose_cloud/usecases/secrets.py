"""The secrets of a spec: which it needs, and whether it still keeps every rule once they are filled in.

What is wrong then is said by place, rule and `${env:NAME}`; the value is in no message, and in no traceback either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from edge_expose_cloud.findings.finding import RULES, Finding, finding, has_errors
from edge_expose_cloud.findings.problems import InputError
from edge_expose_cloud.iotedge.create_options import MAX_CHUNKS, CreateOptionsError, chunk_count
from edge_expose_cloud.manifest.encoding import Secrets
from edge_expose_cloud.manifest.spec_checks import check_rendered
from edge_expose_cloud.spec.checks.fields import lint
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.spec.variables import secret_names, secret_places
from edge_expose_contract.violations import from_pydantic

_INDEX = re.compile(r"\[(\d+)\]\.?")


def secrets_for(spec: Spec, environment: Mapping[str, str]) -> Secrets:
    """The values that the spec refers to. InputError names what is not set, or breaks a rule where it is filled in."""
    raw: dict[str, Any] = spec.model_dump(by_alias=True, exclude_unset=True)
    places = secret_places(raw)
    missing = [
        finding(
            "SecretMissing",
            path,
            f"environment variable {name} is {'empty' if name in environment else 'not set'} "
            f"(the spec refers to ${{env:{name}}})",
        )
        for name, path in places.items()
        if not environment.get(name)
    ]
    if missing:
        raise InputError(missing)
    secrets = Secrets({name: environment[name] for name in places})
    if places and (found := _wrong(spec, raw, secrets)):
        raise InputError(found)
    return secrets


def _wrong(spec: Spec, raw: Mapping[str, Any], secrets: Secrets) -> list[Finding]:
    """What breaks a rule only once the values are filled in: checked by filling in a copy that is thrown away."""
    try:
        filled = Spec.model_validate(secrets.fill(raw))
    except ValidationError as error:
        return [_unfit(item.rule, item.path, raw) for item in from_pydantic(error)]
    return _check(filled, spec)


def _check(filled: Spec, spec: Spec) -> list[Finding]:
    """What is wrong with the manifest that was not wrong with the references still in it."""
    data: dict[str, Any] = spec.model_dump(by_alias=True, exclude_unset=True)
    try:
        problems = check_rendered(filled)
    except CreateOptionsError:
        long = [name for name, item in filled.modules.items() if chunk_count(item.create_options) > MAX_CHUNKS]
        return [_unfit("CreateOptionsForm", f"modules.{long[0]}.createOptions" if long else "modules", data)]
    before = {(item.rule, item.path) for item in lint(spec, data)}
    lints = lint(filled, filled.model_dump(by_alias=True, exclude_unset=True))
    wrong = [item for item in lints if has_errors([item]) and (item.rule, item.path) not in before]
    if wrong:
        return [_unfit(item.rule, item.path, data) for item in wrong]
    return [_unfit(item.rule, item.path, data) for item in problems if has_errors([item])]


def _unfit(rule: str, path: str, data: Any) -> Finding:
    names = ", ".join(f"${{env:{name}}}" for name in sorted(_names(data, path))) or "its text"
    row = RULES.get(rule)
    what = f": {row.what}" if row is not None else ""
    return Finding(
        rule, "error", path, f"this breaks a rule once {names} is filled in{what}", "Check the value; it is not shown."
    )


def _names(value: Any, path: str) -> set[str]:
    """The secrets referred to at a path of the data; where there is none, those nearest above it."""
    match value:
        case Mapping():
            for key in sorted(value, key=len, reverse=True):
                if path == key or path.startswith((f"{key}.", f"{key}[")):
                    return _names(value[key], path[len(key) :].removeprefix(".")) or secret_names(value)
        case list() if (index := _INDEX.match(path)) and int(index[1]) < len(value):
            return _names(value[int(index[1])], path[index.end() :]) or secret_names(value)
    return secret_names(value)
