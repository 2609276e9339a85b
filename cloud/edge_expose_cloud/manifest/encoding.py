"""The two forms of a manifest: as it is planned and shown, and as it is sent. Pure.

Planned, createOptions are objects and secrets are references (`${env:NAME}`), so that nothing printed of it holds a
secret. Sent, secrets are filled in and createOptions are the fields of 512 characters that edgeAgent reads. What the
hub holds is decoded to be compared: two spellings of the same createOptions are no difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge_expose_cloud.iotedge.create_options import (
    CreateOptionsError,
    is_options_field,
    read_create_options,
    write_create_options,
)
from edge_expose_cloud.spec.variables import resolve_secrets
from edge_expose_contract.merging import same_json

Json = dict[str, Any]

_OPTIONS: Final = "createOptions"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The values of `${env:NAME}`. They are in no text that is made of this object."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def fill(self, value: Any) -> Any:
        """The data with every reference replaced, and `$${` unescaped."""
        return resolve_secrets(value, self.values.get)[0]


@dataclass(frozen=True, slots=True)
class Content:
    """A `modulesContent` that is going to be sent: `planned` may be shown.

    `secrets` is None for content that came from a hub or a backup, in which a text like `${env:NAME}` is just that.
    """

    planned: Json
    secrets: Secrets | None = None

    def sent(self) -> Json:
        """As IoT Hub gets it. Raises CreateOptionsError when createOptions do not fit."""
        return encode(self.planned if self.secrets is None else self.secrets.fill(self.planned))

    def __repr__(self) -> str:
        return f"Content({', '.join(self.planned)})"  # content of a backup may hold secrets


def encode(content: Mapping[str, Any]) -> Json:
    """createOptions of `$edgeAgent` as fields; everything else as it is."""
    return {module: _encoded(part) if module == "$edgeAgent" else part for module, part in content.items()}


def _encoded(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    found: Json = {}
    for key, item in value.items():
        options = item.get(_OPTIONS) if _is_settings(key) and isinstance(item, Mapping) else None
        if isinstance(options, Mapping):
            rest = {name: entry for name, entry in item.items() if name != _OPTIONS}
            found[key] = {**rest, **write_create_options(options)}
        else:
            found[key] = _encoded(item)
    return found


def decode_content(content: Mapping[str, Any]) -> Json:
    """The way back: createOptions of `$edgeAgent` as objects; everything else as it is."""
    return {module: decode(part) if module == "$edgeAgent" else part for module, part in content.items()}


def decode(value: Any, key: str = "") -> Any:
    """Any part of `$edgeAgent`'s section; createOptions that cannot be read stay as they are."""
    if not isinstance(value, Mapping):
        return value
    if not _is_settings(key):
        return {name: decode(item, name) for name, item in value.items()}
    fields = {name: item for name, item in value.items() if is_options_field(name) and not isinstance(item, Mapping)}
    try:
        options = {_OPTIONS: read_create_options(fields)} if fields else {}
    except CreateOptionsError:
        return dict(value)
    return {**{name: item for name, item in value.items() if name not in fields}, **options}


def _is_settings(key: str) -> bool:
    """Also as the end of a layer's key: `properties.desired.modules.web.settings`."""
    return key.rpartition(".")[2] == "settings"


def same_meaning(left: Any, right: Any) -> bool:
    """Whether two desired sections (decoded) differ in no more than text: order of ports, createOptions left out."""
    return same_json(_meaning(left), _meaning(right))


def _meaning(value: Any, key: str = "") -> Any:
    match value:
        case Mapping():
            found = {name: _meaning(item, name) for name, item in value.items()}
            if key == "settings" and "image" in found:
                found.setdefault(_OPTIONS, {})
            if key == "PortBindings":
                found = {name: _sorted(item) for name, item in found.items()}
            return found
        case list() if key == "ports":
            return _sorted(value)
        case _:
            return value


def _sorted(value: Any) -> Any:
    return sorted(value, key=repr) if isinstance(value, list) else value
