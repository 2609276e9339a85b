"""Which twin to believe. An edgeHub that is offline may answer with an empty or an older twin. Pure.

A lower `$version` is believed after two equal reads; an empty document removes nothing anyway (it is answered 417).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Belief:
    """`doubted` is the last lower version seen, with its document, waiting for a second equal read."""

    version: int = 0
    doubted: tuple[int, Mapping[str, Any]] | None = None


def believe(belief: Belief, version: int, desired: Mapping[str, Any]) -> tuple[Belief, bool]:
    """The new belief, and whether this read is to be acted on."""
    if version >= belief.version:
        return Belief(version), True
    if belief.doubted == (version, desired):
        return Belief(version), True
    return Belief(belief.version, (version, desired)), False
