"""Who wrote our module's document: `change` of its desired properties, on the way to the hub and back. Pure.

Plans are made and compared without it, since it says nothing of any Service; it is laid on when a plan is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge_expose_cloud.hub.api import Json
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.limits import SECTION_BYTES, section_size
from edge_expose_contract.merging import merged

CHANGE: Final = "change"
_WHOLE: Final = "properties.desired"
_DOTTED: Final = f"{_WHOLE}.{CHANGE}"


def without_change(desired: Mapping[str, Any]) -> Json:
    """Desired properties of our module as far as plans are concerned."""
    return {key: value for key, value in desired.items() if key != CHANGE}


def content_without_change(content: Mapping[str, Any]) -> Json:
    """`modulesContent` in the same sense."""
    section = content.get(MODULE_ID)
    if not isinstance(section, Mapping):
        return dict(content)
    plain: Json = {key: value for key, value in section.items() if key != _DOTTED and not key.startswith(f"{_DOTTED}.")}
    if isinstance(whole := plain.get(_WHOLE), Mapping):
        plain[_WHOLE] = without_change(whole)
    return {**content, MODULE_ID: plain}


def patch_with_change(patch: Mapping[str, Any], change: Json, before: Mapping[str, Any]) -> Json:
    """A merge patch of `before` that says who wrote it. Who wrote it before is not left standing in any case."""
    return {**patch, CHANGE: None if (shown := _fitting(merged(before, patch), change)) is None else shown}


def content_with_change(content: Mapping[str, Any], change: Json) -> Json:
    """`modulesContent` whose document of our module says who wrote it; content without one is as it was."""
    plain = content_without_change(content)
    section = plain.get(MODULE_ID)
    if not section:
        return plain
    whole = section.get(_WHOLE)
    shown = _fitting(whole if isinstance(whole, Mapping) else section, change)
    if shown is None:
        return plain
    if isinstance(whole, Mapping):
        return {**plain, MODULE_ID: {**section, _WHOLE: {**whole, CHANGE: shown}}}
    # Single keys: a whole section would take away what others set.
    return {**plain, MODULE_ID: {**section, _DOTTED: shown}}


def _fitting(desired: Mapping[str, Any], change: Json) -> Json | None:
    """As much of it as there is room for: a full document does without the note, then without all of it."""
    plain = without_change(desired)
    for shown in (change, {**change, "note": ""}):
        if section_size({**plain, CHANGE: shown}) <= SECTION_BYTES:
            return shown
    return None
