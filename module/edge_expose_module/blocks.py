"""Why an exposure is not granted: the one form in which every part of the module says no."""

from __future__ import annotations

from dataclasses import dataclass

from edge_expose_contract.reason_table import values_for
from edge_expose_contract.reasons import Reason


@dataclass(frozen=True, slots=True)
class Block:
    """Why an exposure is not granted as it stands; `message` names thing, value, rule, other party and a way out.

    `values` are those of the reason's row in the contract's table, from which it can be told in any language.
    """

    reason: Reason
    message: str
    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, reason: Reason, message: str, /, **known: object) -> Block:
        """`known` are the values by the names in the reason's row."""
        return cls(reason, message, values_for(reason, known))
