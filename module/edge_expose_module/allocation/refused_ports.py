"""Ports that the load balancer does not let an exposure publish at the shared address it holds. Pure.

Somebody has them whom the module does not see: a Service that it may not read, or one that is gone and that the load
balancer did not forget. Asking for them costs the address, so the exposure goes back to the form it had it in, or goes
on without them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.models import Exposure
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import Port, ports_text
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.resolved import ResolvedExposure

_PORT: Final = re.compile(r"([0-9]+)/([a-z]+)")


@dataclass(frozen=True, slots=True)
class Withheld:
    """What an exposure may not publish now, and the form that is carried out, without that."""

    ports: frozenset[Port]
    form: Exposure
    block: Block


def named_ports(block: Block) -> frozenset[Port]:
    """The ports because of which an address was refused; empty when it was refused for another reason."""
    if block.reason != "PortTaken" or not block.values:
        return frozenset()
    return frozenset((protocol.upper(), int(number)) for number, protocol in _PORT.findall(block.values[0]))


def with_ports(block: Block, ports: Collection[Port]) -> Block:
    """A refusal because of more ports than those that the load balancer named last."""
    return replace(block, values=(ports_text(sorted(ports)), *block.values[1:]))


def of_what_they_publish(
    rejected: Mapping[str, Mapping[Address, Block]], standing: Mapping[str, ResolvedExposure]
) -> dict[str, dict[Address, Block]]:
    """Without those that were of ports alone which an exposure does not publish any more."""
    found: dict[str, dict[Address, Block]] = {}
    for name, blocks in rejected.items():
        publishes = standing[name].exposure.published if name in standing else frozenset()
        of_ports = {address: named_ports(block) for address, block in blocks.items()}
        found[name] = {a: blocks[a] for a, ports in of_ports.items() if not ports or ports & publishes}
    return found


def ports_refused_at(
    places: Mapping[str, tuple[Address, ...]], rejected: Mapping[str, Mapping[Address, Block]]
) -> dict[str, dict[Address, Block]]:
    """Those rejections at the places of exposures that were of ports: the address itself was not refused."""
    found: dict[str, dict[Address, Block]] = {}
    for name, blocks in rejected.items():
        of_ports = {a: blocks[a] for a in places.get(name, ()) if a in blocks and named_ports(blocks[a])}
        if of_ports:
            found[name] = of_ports
    return found


def withheld(
    standing: Mapping[str, ResolvedExposure],
    refused: Mapping[str, Mapping[Address, Block]],
    good: Mapping[str, Sequence[Exposure]],
    observed: Observed,
) -> dict[str, Withheld]:
    """By exposure; `refused` as `ports_refused_at` gives it, `good` are the forms it may go back to, the best first."""
    found: dict[str, Withheld] = {}
    forms = {name: wanted.exposure for name, wanted in standing.items()}
    for name in sorted(refused.keys() & standing.keys()) * 2:  # who goes back may leave a port to others
        address, block = next(iter(refused[name].items()))
        wanted, ports = standing[name].exposure.published, named_ports(block)
        if not ports & wanted:
            continue
        not_free = ports | _wanted_by_others(name, forms)
        form = next((form for form in good[name] if not not_free & form.published), None)
        text = f"{block.message}; {_who_has(address, ports, observed)}"
        text = f"{text}; it goes on {'without that port' if form is None else 'in its previous form'}"
        forms[name] = form or standing[name].exposure
        found[name] = Withheld(ports, forms[name], replace(block, message=text))
    return found


def _wanted_by_others(name: str, forms: Mapping[str, Exposure]) -> frozenset[Port]:
    """What the others publish with which an exposure shares its address: they may have taken what it gave up."""
    key = forms[name].share
    others = (form for other, form in forms.items() if other != name and key is not None and form.share == key)
    return frozenset(port for form in others for port in form.published)


def _who_has(address: Address, ports: frozenset[Port], observed: Observed) -> str:
    seen = (s for s in observed.services.values() if address in s.assigned and s.ports & ports)
    holder = next((f"Service {s.namespace}/{s.name} has it" for s in seen), None)
    return holder or "no Service that this module sees has it"
