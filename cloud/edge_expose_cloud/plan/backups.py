"""Backups of one device: what the hub held before a change, as a manifest in a file. Names and contents, pure.

A file is called `DEVICE-YYYYMMDDTHHMMSSffffffZ.json`, the device id percent-encoded so that no two ids share a name.
Older files of ids with characters such as `:` stand under a name that another id may have: those are not found, but can
be named (`rollback --from`).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from edge_expose_cloud.hub.api import Json, Twin
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import same_json

#: how many backups of one device are kept
KEPT: Final = 50
_STAMP: Final = "%Y%m%dT%H%M%S%fZ"
_NAME = re.compile(r"(.+)-(\d{8}T\d{12}Z)\.json")


@dataclass(frozen=True, slots=True)
class Backup:
    """`content` is the `modulesContent` that the hub held until `time`; `name` is the file's; `hub` the host name of
    the hub, "" where an older file does not say."""

    name: str
    time: dt.datetime
    content: Json
    hub: str = ""

    @property
    def desired(self) -> Json | None:
        """What our module's twin asked for."""
        section = self.content.get(MODULE_ID)
        desired = section.get("properties.desired") if isinstance(section, dict) else None
        return desired if isinstance(desired, dict) else None


@dataclass(frozen=True, slots=True)
class Difference:
    """What going back to a backup would do, by exposure name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    site: bool

    @property
    def is_nothing(self) -> bool:
        return not (self.added or self.removed or self.changed or self.site)


def file_name(device_id: str, moment: dt.datetime) -> str:
    """The name of the backup taken of a device at a moment (UTC)."""
    return f"{quote(device_id, safe='')}-{moment.strftime(_STAMP)}.json"


def parse_name(name: str) -> tuple[str, dt.datetime] | None:
    """(device id, moment) of a backup's name; None for any other file."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    device = unquote(found[1])
    try:
        moment = dt.datetime.strptime(found[2], _STAMP).replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    return (device, moment) if file_name(device, moment) == name else None


def text_of(twins: Mapping[str, Twin], hub: str) -> str:
    """The text of a backup of these twins, by module id: a manifest, and the host name of the hub beside it."""
    content = {module: {"properties.desired": twin.desired} for module, twin in twins.items()}
    return json.dumps({"hub": hub, "modulesContent": content}, indent=2, sort_keys=True) + "\n"


def hub_of(text: str) -> str:
    """The hub that a backup's text names, "" for none."""
    try:
        named = json.loads(text).get("hub")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return named if isinstance(named, str) else ""


def content_of(text: str) -> Json | None:
    """The `modulesContent` of a backup's text; None when it is none."""
    try:
        content = json.loads(text)["modulesContent"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def difference(now: Mapping[str, Any], then: Mapping[str, Any]) -> Difference:
    """From our module's desired properties as they are to those of a backup."""
    current, old = _object(now.get("exposures")), _object(then.get("exposures"))
    return Difference(
        added=tuple(sorted(old.keys() - current.keys())),
        removed=tuple(sorted(current.keys() - old.keys())),
        changed=tuple(sorted(name for name in old.keys() & current.keys() if not same_json(old[name], current[name]))),
        site=not same_json(now.get("site") or {}, then.get("site") or {}),
    )


def _object(value: Any) -> Json:
    """Exposures that a person typed may be anything."""
    return value if isinstance(value, dict) else {}
