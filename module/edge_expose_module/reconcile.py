"""The plan of one pass: document + memory + cluster + clock -> declared Services and the plan.

Stages: resolve the document, hold back a mass removal, block what cannot be, allocate addresses, make moves safe,
declare, plan. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from edge_expose_contract.identity import Code
from edge_expose_contract.models import Exposure, Site
from edge_expose_contract.parsing import DesiredDocument
from edge_expose_module.allocation.address_space import AddressSpace, address_space
from edge_expose_module.allocation.address_space import warnings as space_warnings
from edge_expose_module.allocation.allocate import Decision
from edge_expose_module.allocation.claims import carriers_of
from edge_expose_module.allocation.grants import granted
from edge_expose_module.allocation.unproven import together, unproven_names
from edge_expose_module.blocks import Block
from edge_expose_module.desired.hostnames import share_hostnames
from edge_expose_module.desired.removal_guard import PendingRemoval, RemovalGuard, guard_removals
from edge_expose_module.desired.resolved import ResolvedExposure, ResolvedExposures, resolve
from edge_expose_module.pass_inputs import PassInputs
from edge_expose_module.services import adoption, node_ports
from edge_expose_module.services.declared import declarations
from edge_expose_module.services.moves import Move, moves
from edge_expose_module.services.names import name_clashes
from edge_expose_module.services.obstacles import why_blocked
from edge_expose_module.services.plan import Change, Plan, plan
from edge_expose_module.services.port_handover import carried_out, handover
from edge_expose_module.services.render import DeclaredService


@dataclass(frozen=True, slots=True)
class PassPlan:
    """The outcome of a pass before anything is written."""

    resolved: ResolvedExposures
    blocks: Mapping[str, Block]
    decisions: Mapping[str, Decision]
    declared: tuple[DeclaredService, ...]
    plan: Plan
    space: AddressSpace
    site: Site | None
    default_namespace: str
    removal_guard: RemovalGuard
    code: Code
    description: str
    standing: Mapping[str, ResolvedExposure] = field(default_factory=dict)
    """The form of each exposure that is carried out: the last good one where the newest cannot be granted."""
    moves: Mapping[str, Move] = field(default_factory=dict)
    """Exposures for which a claim asks for the next address."""
    unproven: frozenset[str] = frozenset()
    """Exposures whose newest form asks for another address than they hold: until it is given, the form before counts as
    the last good one."""
    waiting: Mapping[str, Block] = field(default_factory=dict)
    """Exposures that wait for a port of a shared address, and why: until they have it, as above."""
    warnings: tuple[str, ...] = ()
    """What is carried out in another way than the document says."""

    @property
    def pending_removal(self) -> PendingRemoval | None:
        return self.removal_guard.pending


def reconcile(inputs: PassInputs) -> PassPlan:
    site = inputs.document.site
    if site is None:
        # An automatic deployment never writes `site`, and a broken one is refused: the last good one stands.
        site = inputs.memory.good_site()
    namespace = _default_namespace(site, inputs)
    last_good = inputs.memory.good_exposures()
    resolved = resolve(inputs.document, last_good, inputs.memory.expired, inputs.guards, namespace, inputs.now)
    guarded = _removal_guard(inputs, resolved, last_good)
    pending = guarded.pending
    blocks = {name: wanted.block for name, wanted in resolved.exposures.items() if wanted.block is not None}
    blocks.update(resolved.blocked)
    standing: dict[str, ResolvedExposure] = {}
    held_back = resolved.keep | (pending.names if pending is not None else frozenset())
    clashes = name_clashes(resolved.exposures, inputs, namespace, held_back)
    for name, wanted in resolved.exposures.items():
        block = clashes.get(name) or why_blocked(name, wanted.exposure, inputs, namespace)
        if block is not None:
            blocks[name] = block
        else:
            standing[name] = wanted
    keep = frozenset(blocks) - frozenset(standing) | held_back
    space = address_space(site, inputs.observed, inputs.guards, inputs.owner)
    decisions, without = granted(standing, blocks, last_good, inputs, space, namespace, keep)
    carriers = carriers_of(standing, inputs.observed, inputs.owner, namespace, inputs.former_owners)
    hostnames = share_hostnames(standing, inputs.observed.owned(inputs.owner), keep)
    under_way = moves(decisions, standing, carriers, inputs.observed, inputs.owner, namespace, inputs.guards.ports)
    unproven = unproven_names(under_way, decisions, standing, carriers, inputs.memory.last_held())
    declare = partial(declarations, standing, decisions, under_way, carriers, last_good, hostnames, inputs, namespace)
    declared = declare()
    frozen = keep | frozenset(name for name in standing if name not in declared.names)
    plan_of = partial(plan, observed=inputs.observed, owner=inputs.owner, keep=frozen)
    turns = handover(declared.services, inputs.observed, inputs.owner)
    rings: tuple[tuple[Change, ...], ...] = ()
    if turns.waiting:
        patches = plan_of(declared.services, declared.companions).patches() if turns.rings else ()
        rings = tuple(tuple(c for c in patches if c.exposure in ring) for ring in set(turns.rings.values()))
        declared = declare(turns.waiting)
    withheld = {name: found.ports for name, found in without.items()}
    if declared.going_on or withheld:
        services = carried_out(turns, declared, inputs.observed, inputs.guards.ports, withheld)
        declared = replace(declared, services=services)
    planned = plan_of(declared.services, declared.companions)
    planned = replace(planned, together=together(unproven, standing), rings=rings)
    code, description = _document_status(inputs.document, pending)
    return PassPlan(
        resolved,
        blocks,
        decisions,
        declared.services,
        planned,
        space,
        site,
        namespace,
        guarded,
        code,
        description,
        standing,
        under_way,
        unproven,
        turns.waiting,
        hostnames.warnings + _warnings(standing, inputs, decisions, space),
    )


def _warnings(
    standing: Mapping[str, ResolvedExposure], inputs: PassInputs, decisions: Mapping[str, Decision], space: AddressSpace
) -> tuple[str, ...]:
    observed = inputs.observed
    owned = observed.owned(inputs.owner)
    granted = {name: decision.addresses for name, decision in decisions.items() if not standing[name].exposure.adopt}
    return (
        adoption.warnings(standing, owned)
        + node_ports.warnings(standing, owned, observed.load_balancer, observed.capabilities)
        + space_warnings(granted, space)
    )


def _default_namespace(site: Site | None, inputs: PassInputs) -> str:
    """What the site says; with no site known at all (a new disk, and a twin without one) our Services stay put."""
    if site is not None:
        return site.namespace or inputs.own_namespace
    homes = {service.namespace for service in inputs.observed.owned(inputs.owner)}
    return homes.pop() if len(homes) == 1 else inputs.own_namespace


def _removal_guard(inputs: PassInputs, resolved: ResolvedExposures, last_good: Mapping[str, Exposure]) -> RemovalGuard:
    held: dict[str, str] = {}
    for service in inputs.observed.owned(inputs.owner):
        if service.exposure is not None:
            held[service.exposure] = f"{held.get(service.exposure, '')} {service.uid}"
    removed = frozenset(held) - frozenset(resolved.exposures) - resolved.keep - _ran_out(inputs, resolved, last_good)
    confirmations = [*inputs.confirmations, inputs.document.confirm_removal or ""]
    memory = inputs.memory
    before = RemovalGuard(
        base=frozenset(memory.held_before), released=frozenset(memory.released), mark=memory.removal_mark
    )
    moment = f"{memory.version} {inputs.now.isoformat()}"
    return guard_removals(held, removed, inputs.guards.max_removal_percent, confirmations, before, moment)


def _ran_out(inputs: PassInputs, resolved: ResolvedExposures, good: Mapping[str, Exposure]) -> frozenset[str]:
    """Exposures whose time came. One whose time had passed when it was written is removed by who wrote it."""
    document = inputs.document.exposures
    return frozenset(
        name
        for name in resolved.expired
        if name not in good or name not in document or good[name].expires == document[name].expires
    )


def _document_status(document: DesiredDocument, pending: PendingRemoval | None) -> tuple[Code, str]:
    if pending is not None:
        names = sorted(pending.names)
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return (
            Code.HELD_BACK,
            f"would remove {len(names)} exposures at once ({shown}): nothing is removed until confirmRemoval is "
            f'"{pending.token}"',
        )
    if document.site_violations:
        first = document.site_violations[0]
        return Code.MALFORMED, f"{first}; the last good site stands"
    return Code.ACCEPTED, ""
