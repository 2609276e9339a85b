"""What MetalLB says, in its own words: recordings of the real versions, which ship beside this file.

The files are equal to those in tests/agreements/recorded, which a run of the real test bed writes. Nothing that this
cluster's load balancer says has another source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from ..kinds.errors import Document

_FOLDER: Final = Path(__file__).parent / "recordings"
_HEAD_END: Final = '": '


class Refused(Exception):
    """MetalLB says no: the situation as the recordings name it, and the values in its text."""

    def __init__(self, situation: str, **values: object) -> None:
        super().__init__(situation)
        self.situation = situation
        self.values: dict[str, object] = values


class Answers:
    """Of one version."""

    def __init__(self, version: str) -> None:
        self._answers = _read(version)

    def known(self, situation: str) -> bool:
        """Tell whether the situation was recorded with this version."""
        return situation in self._answers

    def event(self, situation: str, **values: object) -> tuple[str, str, str]:
        """Type, reason and message of an Event."""
        found = self._answers[situation]
        return found["type"], found["reason"], self.text(situation, **values)

    def text(self, situation: str, **values: object) -> str:
        """The message, filled in."""
        return str(self._answers[situation]["message"]).format_map(values)

    def reason(self, refusal: Refused, **values: object) -> str:
        """A refusal without its head, which names the Service."""
        whole = self.text(refusal.situation, **{"namespace": "", "name": "", **values, **refusal.values})
        return whole.partition(_HEAD_END)[2]

    def says(self, situation: str, key: str, values: Mapping[str, object]) -> Any:
        """Another part of an answer, filled in: log lines, or the state of the configuration."""
        return _fill(self._answers[situation][key], values)


def _fill(value: Any, values: Mapping[str, object]) -> Any:
    if isinstance(value, str):
        return value.format_map(dict(values))
    if isinstance(value, list):
        return [_fill(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, values) for key, item in value.items()}
    return value


@cache
def _read(version: str) -> Mapping[str, Document]:
    content = json.loads((_FOLDER / f"metallb-{version}.json").read_text(encoding="utf-8"))
    return dict(content["answers"])
