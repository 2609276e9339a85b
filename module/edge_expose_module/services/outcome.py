"""How the writes of a plan went wrong. Values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edge_expose_contract.reasons import Reason
from edge_expose_module.cluster.service import Key


class Failure(StrEnum):
    """How a write went wrong."""

    DENIED = "denied"
    REJECTED = "rejected"
    REFUSED = "refused"
    TRANSIENT = "transient"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Writes of one exposure that failed, told of by one of them; what succeeded needs no outcome."""

    failure: Failure
    message: str
    reason: Reason
    values: tuple[str, ...] = ()
    services: frozenset[Key] = frozenset()
    """What was to be changed and was not, but where somebody else wrote meanwhile."""
