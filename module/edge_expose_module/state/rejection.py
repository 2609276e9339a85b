"""An address that the load balancer did not give to an exposure, as it stands in the state file. Values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_expose_contract.reasons import REASONS
from edge_expose_module.blocks import Block


@dataclass(frozen=True, slots=True)
class Rejection:
    """`circumstances` stands for everything that has to stay as it is for the rejection to count."""

    address: str
    block: Block
    circumstances: str

    def to_json(self) -> list[str]:
        block = self.block
        return [self.address, block.reason, block.message, self.circumstances, *block.values]

    @classmethod
    def from_json(cls, content: object) -> Rejection | None:
        match content:
            case [str(address), str(reason), str(message), str(circumstances), *values] if reason in REASONS:
                return cls(address, Block(reason, message, tuple(map(str, values))), circumstances)
            case _:
                return None


Rejections = Mapping[str, tuple[Rejection, ...]]
"""By exposure."""
