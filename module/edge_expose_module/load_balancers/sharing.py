"""Why two parties cannot hold one address: the rules of which each load balancer takes those it has. Pure."""

from __future__ import annotations

from edge_expose_contract.addressing import Address
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import ports_text
from edge_expose_module.load_balancers.api import Claim


def why_keys_differ(address: Address, mine: Claim, other: Claim) -> Block | None:
    if mine.share and mine.share == other.share:
        return None
    how = "give both the same sharing key and different ports, or choose another address"
    under = f" under sharing key {other.share!r}" if mine.share and other.share else ""
    text = f"{address} is {other.how}{under}; {how}"
    return Block.of("AddressTaken", text, address=address, holder=other.party)


def why_ports_clash(address: Address, mine: Claim, other: Claim) -> Block | None:
    clash = sorted(mine.ports & other.ports)
    if not clash:
        return None
    ports = ports_text(clash)
    text = f"port {ports} on shared address {address} is {other.how}; publish another port"
    return Block.of("PortTaken", text, port=ports, address=address, holder=other.party)


def why_backends_differ(address: Address, mine: Claim, other: Claim) -> Block | None:
    if mine.backend == other.backend:
        return None
    text = f"{address} is shared with {other.party}; externalTrafficPolicy Local shares only with the same selector"
    return Block.of("SharingPolicyMismatch", text, address=address, holder=other.party)
