"""Manifests and twins as they may be shown. Pure.

A value on the hub does not say where it came from: it may have been `${env:NAME}` once. Of `$edgeAgent` and `$edgeHub`
only what stands in a list of its own (`manifest.showable`) is shown, references are shown as such, and of modules that
are not ours nothing but the names of their properties. createOptions are shown as the one object that their chunks
hold together, since a secret may be escaped in their text, or cut in two.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from edge_expose_cloud.hub.api import Json
from edge_expose_cloud.iotedge.create_options import is_options_field
from edge_expose_cloud.manifest.encoding import decode
from edge_expose_cloud.manifest.showable import LISTED_TWINS, may_show, steps_of
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import same_json

HIDDEN: Final = "***"
CHANGED: Final = "*** (changed)"
_NOTHING: Final = object()
_REFERENCE = re.compile(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}")
_TEXTS: Final = frozenset({"password", "cmd", "entrypoint"})
#: whose annotations and labels say where a Service is reached, and whose it is
_SHOWN_DOMAINS: Final = frozenset(
    {
        *("edge-expose.io", "app.kubernetes.io", "net.azure-devices.edge", "external-dns.alpha.kubernetes.io"),
        *("metallb.io", "metallb.universe.tf", "io.cilium", "lbipam.cilium.io"),
    }
)
# What these twins may hold is known; the desired properties of any other module may be secrets.
_KNOWN_TWINS: Final = frozenset({"$edgeAgent", "$edgeHub", MODULE_ID})


def hide_secrets(value: Any) -> Any:
    """Any part of a twin or manifest, whatever may be a secret as ***."""
    return _hidden(value, _NOTHING, _NOTHING, secret=False)


def hide_options(options: Mapping[str, Any]) -> Json:
    """createOptions of one module, what may be a secret as ***."""
    path = ("$edgeAgent", "modules", "", "settings", "createOptions")
    found: Json = _hidden(options, _NOTHING, _NOTHING, secret=False, path=path)
    return found


def hide_twins(twins: Mapping[str, Any], beside: Mapping[str, Any] | None = None, shown: Any = None) -> Json:
    """Module id -> section, as on the hub or in a backup, with secrets as ***.

    `beside` are the sections they are compared with, and `shown` is what is shown of those: equal values look equal,
    and a hidden value that differs is `*** (changed)`.
    """
    other = _decoded(beside or {})
    found = {
        module: _hidden(
            section,
            _at(other, module),
            _at(shown, module),
            secret=module not in _KNOWN_TWINS,
            path=(module,) if module in LISTED_TWINS else None,
        )
        for module, section in _decoded(twins).items()
    }
    if MODULE_ID in found:
        found[MODULE_ID] = hide_pairs(found[MODULE_ID], other.get(MODULE_ID, found[MODULE_ID]))
    return found


def hide_beside(value: Any, beside: Any, shown: Any) -> Any:
    """The same for a value that can hold a secret only where the spec refers to one: `shown` differs from `beside`."""
    return _hidden(value, beside, shown, secret=False)


def _decoded(twins: Mapping[str, Any]) -> Json:
    return {module: decode(section) if module == "$edgeAgent" else section for module, section in twins.items()}


def _hidden(value: Any, beside: Any, shown: Any, *, secret: bool, path: tuple[str, ...] | None = None) -> Any:
    """`beside` is what the other side holds at the same place (_NOTHING for nothing), `shown` how that is shown.

    `path` is the twin and where in it the value stands, None where there is no list of what may be shown.
    """
    if beside is not _NOTHING and same_json(value, beside):
        return shown
    if not (isinstance(value, Mapping) and isinstance(beside, Mapping)):
        # A reference was filled in there (in a list: at any place), so what stood there may be a secret as well.
        secret = secret or not same_json(beside, shown)
    match value:
        case Mapping():
            return {
                key: _entries(item, _at(beside, key), _at(shown, key))
                if isinstance(item, list) and _is_env(key)
                else _hidden(
                    item,
                    _at(beside, key),
                    _at(shown, key),
                    secret=secret or _is_secret(key, item),
                    path=None if path is None else (*path, *steps_of(key)),
                )
                for key, item in value.items()
            }
        case list():
            return [
                _hidden(item, _at(beside, index), _at(shown, index), secret=secret, path=path)
                for index, item in enumerate(value)
            ]
        case None | bool():
            return value
        case str() if _REFERENCE.fullmatch(value):
            return value
        case _ if secret or (path is not None and value != "" and not may_show(path)):
            return HIDDEN if beside is _NOTHING else CHANGED
        case _:
            return value


def _entries(entries: list[Any], beside: Any, shown: Any) -> list[Any]:
    """`Env` of createOptions: `NAME=value` each, in any order."""
    there, seen = (_by_name(side) if isinstance(side, list) else {} for side in (beside, shown))
    found = []
    for name, value in (str(entry).split("=", 1) if "=" in str(entry) else (str(entry), None) for entry in entries):
        what = _hidden(value, there.get(name, _NOTHING), seen.get(name, _NOTHING), secret=True)
        found.append(name if what is None else f"{name}={what}")
    return found


def _by_name(entries: list[Any]) -> dict[str, str | None]:
    return {name: value if equals else None for name, equals, value in (str(item).partition("=") for item in entries)}


def _at(value: Any, key: str | int) -> Any:
    match value:
        case Mapping():
            return value.get(key, _NOTHING)
        case list() if isinstance(key, int) and key < len(value):
            return value[key]
        case _:
            return _NOTHING


def _is_env(key: str) -> bool:
    """Also as part of a layer's key: `properties.desired.modules.web.env.TOKEN`."""
    return "env" in key.lower().split(".")


def _is_secret(key: str, item: Any) -> bool:
    last = key.rpartition(".")[2]
    leaf = not isinstance(item, Mapping)
    return _is_env(key) or (leaf and (last.lower() in _TEXTS or is_options_field(last)))


def hide_pairs(value: Any, beside: Any = None) -> Any:
    """A Service, or a document of our module, with the values of annotations and labels hidden that are not ours or of
    a load balancer: an exposure may carry any. One that differs from the one `beside` it is `*** (changed)`."""
    match value:
        case Mapping():
            other = beside if isinstance(beside, Mapping) else {}
            return {
                key: _pairs(item, other.get(key))
                if key in ("annotations", "labels")
                else hide_pairs(item, other.get(key))
                for key, item in value.items()
            }
        case list():
            return [hide_pairs(item) for item in value]
        case _:
            return value


def _pairs(value: Any, beside: Any) -> Any:
    if isinstance(value, Mapping):
        there = beside if isinstance(beside, Mapping) else {}
        return {key: _pair(key, item, there.get(key, item)) for key, item in value.items()}
    if isinstance(value, list):
        there = dict(map(_split, beside)) if isinstance(beside, list) else {}
        return [f"{key}={_pair(key, item, there.get(key, item))}" for key, item in map(_split, value)]
    return value


def _split(pair: Any) -> tuple[str, str]:
    key, _, value = str(pair).partition("=")
    return key, value


def _pair(key: str, value: Any, beside: Any) -> Any:
    known = key.partition("/")[0] in _SHOWN_DOMAINS or key.startswith("net.azure-devices.edge.")
    if known or _REFERENCE.fullmatch(str(value)) is not None:
        return value
    return HIDDEN if value == beside else CHANGED
