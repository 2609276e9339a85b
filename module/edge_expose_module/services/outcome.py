"""How the writes of a plan went wrong. Values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge_expose_contract.reasons import Reason


class Failure(StrEnum):
    """How a write went wrong."""

    DENIED = "denied"
    REJECTED = "rejected"
    REFUSED = "refused"
    TRANSIENT = "transient"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A write that failed, by exposure; what succeeded needs no outcome."""

    failure: Failure
    message: str
    reason: Reason
    values: tuple[str, ...] = ()
