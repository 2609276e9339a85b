"""Whether two manifests mean the same, and where they do not. Pure.

createOptions mean the same however they are spaced, ordered and cut into fields; none at all are `{}`. Everything else
is compared as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_cloud.iotedge.create_options import CreateOptionsError, is_options_field, read_create_options
from edge_expose_contract.merging import same_json

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A place where two manifests differ; `null`: a key that one has with the value null, and the other has not."""

    path: str
    null: bool


def spelled_as(ours: Any, theirs: Any) -> Any:
    """`ours`, with createOptions spelled as `theirs` where both mean the same."""
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        return ours
    found = {key: spelled_as(item, theirs[key]) if key in theirs else item for key, item in ours.items()}
    if not any(map(is_options_field, ours)) or not _same_options(ours, theirs):
        return found
    rest = {key: item for key, item in found.items() if not is_options_field(key)}
    return rest | {key: item for key, item in theirs.items() if is_options_field(key)}


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


def _same_options(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    try:
        return same_json(read_create_options(ours), read_create_options(theirs))
    except CreateOptionsError:
        return False
