"""Where two manifests do not mean the same. Pure.

Both have their createOptions decoded, so that it does not matter how they were spelled and cut into fields; none at all
are `{}`. Everything else is compared as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_cloud.iotedge.create_options import is_options_field
from edge_expose_contract.merging import same_json

OPTIONS: Final = "createOptions"


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two manifests differ; `null`: a key that one has with the value null, and the other has not."""

    path: str
    null: bool


def spelled_as(ours: Any, theirs: Any) -> Any:
    """`ours`, without empty createOptions where `theirs` has none."""
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        return ours
    found = {key: spelled_as(item, theirs[key]) if key in theirs else item for key, item in ours.items()}
    if found.get(OPTIONS) == {} and not any(map(is_options_field, theirs)):
        del found[OPTIONS]
    return found


def differences(ours: Any, theirs: Any) -> list[Difference]:
    """Where two manifests, or two parts of one, do not mean the same."""
    return list(_differences(spelled_as(ours, theirs), theirs, ""))


def _differences(ours: Any, theirs: Any, path: str) -> Iterator[Difference]:
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        if not same_json(ours, theirs):
            yield Difference(path, null=False)
        return
    for key in ours.keys() | theirs.keys():
        place = f"{path}.{key}" if path else key
        if key in ours and key in theirs:
            yield from _differences(ours[key], theirs[key], place)
        else:
            yield Difference(place, null=(ours if key in ours else theirs)[key] is None)
