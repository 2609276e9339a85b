"""The external range as a map: for each address what it is, in words and for whom. Pure.

A twin tells which addresses our exposures hold and how many are used in all; which addresses foreign Services hold it
tells only where one is in the way of an exposure. What is not known is said, not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Final, Literal

from edge_expose_cloud.plan.conflicts import foreign_addresses
from edge_expose_cloud.spec.model import Network
from edge_expose_contract.addressing import Address, AddressSet
from edge_expose_contract.models import Exposure
from edge_expose_contract.reported import Reported

Kind = Literal["held", "pinned", "shared", "reserved", "foreign", "node", "free"]
MOST_CELLS: Final = 256
#: from so many free addresses in a row on they are drawn as one
FOLDED: Final = 13
WORDS: Final[Mapping[Kind, str]] = {
    "held": "in use, assigned automatically",
    "pinned": "in use, fixed by its exposure",
    "shared": "in use, shared by several exposures",
    "reserved": "reserved",
    "foreign": "in use by another Service",
    "node": "a node IP, never assigned",
    "free": "free",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One address; `exposures` are ours there, `owner` is the name of a reservation."""

    address: str
    kind: Kind
    exposures: tuple[str, ...] = ()
    owner: str = ""

    @property
    def label(self) -> str:
        """For a screen reader and the tooltip."""
        who = ", ".join(self.exposures) or self.owner
        return f"{self.address}: {WORDS[self.kind]}" + (f" ({who})" if who else "")

    @property
    def short(self) -> str:
        return self.address.rpartition(".")[2] if "." in self.address else self.address.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Run:
    """Free addresses, one after the other."""

    first: str
    last: str
    count: int
    kind: str = "run"

    @property
    def label(self) -> str:
        return f"{self.first} to {self.last}: {self.count} free addresses"


@dataclass(frozen=True, slots=True)
class IpMap:
    """`hidden` addresses are beyond what is drawn; `elsewhere` are used ones whose holder the device does not name."""

    ranges: str
    size: int
    cells: tuple[Cell, ...]
    counts: Mapping[str, int]
    hidden: int
    elsewhere: int

    @property
    def folded(self) -> tuple[Cell | Run, ...]:
        """The cells, with long runs of free addresses as one."""
        found: list[Cell | Run] = []
        for kind, group in groupby(self.cells, key=lambda cell: cell.kind):
            cells = tuple(group)
            if kind == "free" and len(cells) >= FOLDED:
                found += [cells[0], Run(cells[1].address, cells[-1].address, len(cells) - 1)]
            else:
                found += cells
        return tuple(found)

    @property
    def free(self) -> tuple[str, ...]:
        return tuple(cell.address for cell in self.cells if cell.kind == "free")


def ip_map(
    network: Network | None,
    exposures: Mapping[str, Exposure],
    held: Mapping[str, tuple[Address, ...]],
    report: Reported,
    named: Mapping[Address, str] | None = None,
) -> IpMap:
    """Of the reported pool, or of the declared range when the module has not reported one.

    `named` are addresses of foreign Services, where the module was asked for them.
    """
    pool = network.all_addresses if network else AddressSet()
    nodes = network.nodes if network else AddressSet()
    reserved = network.reserved_addresses if network else {}
    holders: dict[Address, list[str]] = {}
    for name, addresses in sorted(held.items()):
        for address in addresses:
            holders.setdefault(address, []).append(name)
    foreign = foreign_addresses(exposures, held, report, named or {})
    cells = []
    for address in islice(pool, MOST_CELLS):
        names = tuple(holders.get(address, ()))
        kind: Kind = "free"
        if len(names) > 1:
            kind = "shared"
        elif names:
            known = exposures.get(names[0])
            kind = "pinned" if known is not None and address in known.addresses else "held"
        elif address in foreign:
            kind = "foreign"
        elif address in reserved:
            kind = "reserved"
        elif address in nodes:
            kind = "node"
        owner = foreign.get(address, "") if kind == "foreign" else reserved.get(address, "")
        cells.append(Cell(str(address), kind, names, owner))
    ours = sum(1 for address in holders if address in pool)
    used = report.pool.used if report.pool is not None else ours
    counts: dict[str, int] = {}
    for cell in cells:
        counts[cell.kind] = counts.get(cell.kind, 0) + 1
    return IpMap(
        str(pool),
        pool.size,
        tuple(cells),
        counts,
        pool.size - len(cells),
        max(0, used - ours - counts.get("foreign", 0)),
    )
