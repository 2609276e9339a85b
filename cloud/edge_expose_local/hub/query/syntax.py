"""The syntax tree of a query, and the properties that the documents of each collection have. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf


class QueryError(ValueError):
    """The query was not understood; the text names the part."""


@dataclass(frozen=True, slots=True)
class Path:
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.steps)


@dataclass(frozen=True, slots=True)
class Value:
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Within:
    """`IN` (or `NIN` when `negated`)."""

    left: Operand
    options: tuple[Operand, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    inner: Expression


@dataclass(frozen=True, slots=True)
class Logic:
    operator: OneOf["AND", "OR"]
    left: Expression
    right: Expression


Operand = Path | Value | Call
Expression = Operand | Compare | Within | Not | Logic


Source = OneOf["devices", "devices.modules", "devices.jobs"]
Aggregate = OneOf["COUNT", "AVG", "SUM", "MIN", "MAX"]


@dataclass(frozen=True, slots=True)
class Column:
    """A property, or an aggregate: of a property, or (COUNT) of rows, where `path` is None."""

    path: Path | None
    alias: str | None
    aggregate: Aggregate | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """`columns` empty means `*`; `groups` empty with aggregates means one group of all rows."""

    columns: tuple[Column, ...]
    source: Source
    where: Expression | None
    top: int | None = None
    groups: tuple[Path, ...] = ()


_TWIN = (
    "deviceId etag deviceEtag version status statusReason statusUpdateTime connectionState lastActivityTime"
    " cloudToDeviceMessageCount authenticationType x509Thumbprint modelId tags properties configurations"
)
_JOB = "deviceId jobId jobType status startTimeUtc endTimeUtc createdDateTimeUtc lastUpdatedDateTimeUtc outcome error"


def _spelling(names: str) -> dict[str, str]:
    return {name.lower(): name for name in names.split()}


# The properties that documents of a collection have at their top; their names are read in any case.
TOP: dict[Source, dict[str, str]] = {
    "devices": _spelling(f"{_TWIN} capabilities deviceScope parentScopes"),
    "devices.modules": _spelling(f"{_TWIN} moduleId"),
    "devices.jobs": _spelling(_JOB),
}
