"""One pass of the controller, decided: document + memory + cluster + clock -> declared Services and the plan.

Stages: gather wishes, hold back a mass removal, block what cannot be, allocate addresses, make moves safe, declare,
plan. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import EDGE_MODULE_LABEL, Code, State, owner_id
from edge_expose_contract.models import Exposure, Site
from edge_expose_contract.parsing import DesiredDocument
from edge_expose_contract.services import own_sharing_key, selector_of, service_shapes
from edge_expose_module import adoption, node_ports
from edge_expose_module.adoption import why_not_adopted
from edge_expose_module.allocation import Decision, allocate
from edge_expose_module.claims import Carrier, carriers_of, merged
from edge_expose_module.hostnames import share_hostnames
from edge_expose_module.memory import Memory
from edge_expose_module.moves import Move, claim_service, moves
from edge_expose_module.observed_service import Key, ObservedService
from edge_expose_module.observing import Observed
from edge_expose_module.planning import Plan, plan
from edge_expose_module.rails.model import Guards
from edge_expose_module.rejected import current
from edge_expose_module.removal import Brake, PendingRemoval, brake
from edge_expose_module.rendering import DeclaredService, Target, declare, slice_bodies
from edge_expose_module.space import AddressSpace, address_space
from edge_expose_module.space import warnings as space_warnings
from edge_expose_module.wishes import Block, Wish, Wishes, gather


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything a pass looks at."""

    document: DesiredDocument
    memory: Memory
    observed: Observed
    guards: Guards
    owner: str
    own_namespace: str
    now: datetime
    confirmations: tuple[str, ...] = ()

    @property
    def former_owners(self) -> frozenset[str]:
        return self.guards.take_over or frozenset()


@dataclass(frozen=True, slots=True)
class Decided:
    """The outcome of a pass before anything is written."""

    wishes: Wishes
    blocks: Mapping[str, Block]
    decisions: Mapping[str, Decision]
    declared: tuple[DeclaredService, ...]
    plan: Plan
    space: AddressSpace
    site: Site | None
    default_namespace: str
    brake: Brake
    code: Code
    description: str
    standing: Mapping[str, Wish] = field(default_factory=dict)
    """The wish that is carried out for each exposure: the last good one where the newest cannot be granted."""
    moves: Mapping[str, Move] = field(default_factory=dict)
    """Exposures for which a claim asks for the next address."""
    unproven: frozenset[str] = frozenset()
    """Exposures whose newest form asks for another address than they hold: until it is given, the form before counts as
    the last good one."""
    warnings: tuple[str, ...] = ()
    """What is carried out in another way than it was wished."""

    @property
    def pending_removal(self) -> PendingRemoval | None:
        return self.brake.pending


def decide(inputs: Inputs) -> Decided:
    site = inputs.document.site
    if site is None:
        # An automatic deployment never writes `site`, and a broken one is refused: the last good one stands.
        site = inputs.memory.good_site()
    namespace = _default_namespace(site, inputs)
    last_good = inputs.memory.good_exposures()
    wishes = gather(inputs.document, last_good, inputs.memory.expired, inputs.guards, namespace, inputs.now)
    braking = _brake(inputs, wishes)
    pending = braking.pending
    blocks = {name: wish.block for name, wish in wishes.wishes.items() if wish.block is not None}
    blocks.update(wishes.blocked)
    standing: dict[str, Wish] = {}
    held_back = wishes.keep | (pending.names if pending is not None else frozenset())
    clashes = _name_clashes(wishes.wishes, inputs, namespace, held_back)
    for name, wish in wishes.wishes.items():
        block = clashes.get(name) or _why_blocked(name, wish.exposure, inputs, namespace)
        if block is not None:
            blocks[name] = block
        else:
            standing[name] = wish
    keep = frozenset(blocks) - frozenset(standing) | held_back
    space = address_space(site, inputs.observed, inputs.guards, inputs.owner)
    decisions = _granted(standing, blocks, last_good, inputs, space, namespace, keep)
    carriers = carriers_of(standing, inputs.observed, inputs.owner, namespace, inputs.former_owners)
    hostnames = share_hostnames(standing, inputs.observed.owned(inputs.owner), keep)
    under_way = moves(decisions, standing, carriers, inputs.observed, inputs.owner, namespace)
    unproven = frozenset(under_way) | _asking_anew(decisions, carriers, inputs)
    target = Target(inputs.owner, namespace, inputs.observed.load_balancer_for, inputs.observed.capabilities)
    declared: list[DeclaredService] = []
    companions: dict[Key, tuple[dict[str, Any], ...]] = {}
    frozen = set(keep)
    for name, wish in sorted(standing.items()):
        decision, move = decisions.get(name, Decision()), under_way.get(name)
        if decision.block is not None and not decision.addresses:
            frozen.add(name)  # nothing to ask for: what runs, if anything, goes on as it is
            continue
        exposure, addresses = hostnames.carried(name, wish.exposure), decision.addresses
        noted: tuple[Address, ...] = ()
        if move is not None:
            declared.append(claim_service(name, exposure, move, target))
            if not move.granted:
                # The Service is not touched before the claim is granted, its last good form goes on.
                exposure, addresses = hostnames.carried(name, last_good.get(name, exposure)), move.held
                noted = merged(carrier.service.asked for carrier in carriers[name])
        joined = (move is not None and move.granted) or _has_own_key(name, carriers, inputs)
        for service in declare(name, exposure, addresses, target, may_be_joined=joined, noted=noted):
            declared.append(service)
            companions[(service.namespace, service.name)] = slice_bodies(
                service, exposure, inputs.observed.capabilities
            )
    planned = plan(declared, companions, inputs.observed, inputs.owner, frozenset(frozen))
    code, description = _document_status(inputs.document, pending)
    return Decided(
        wishes,
        blocks,
        decisions,
        tuple(declared),
        planned,
        space,
        site,
        namespace,
        braking,
        code,
        description,
        standing,
        under_way,
        unproven,
        hostnames.warnings + _warnings(standing, inputs, decisions, space),
    )


def _warnings(
    standing: Mapping[str, Wish], inputs: Inputs, decisions: Mapping[str, Decision], space: AddressSpace
) -> tuple[str, ...]:
    observed = inputs.observed
    owned = observed.owned(inputs.owner)
    granted = {name: decision.addresses for name, decision in decisions.items() if not standing[name].exposure.adopt}
    return (
        adoption.warnings(standing, owned)
        + node_ports.warnings(standing, owned, observed.load_balancer, observed.capabilities)
        + space_warnings(granted, space)
    )


def _asking_anew(
    decisions: Mapping[str, Decision], carriers: Mapping[str, Sequence[Carrier]], inputs: Inputs
) -> frozenset[str]:
    """Exposures that hold, or held until a moment ago, another address than the one decided for them."""
    last_held = inputs.memory.last_held()
    found: set[str] = set()
    for name, decision in decisions.items():
        held = merged(carrier.service.assigned for carrier in carriers.get(name, ())) or last_held.get(name, ())
        if held and decision.addresses and decision.addresses != held:
            found.add(name)
    return frozenset(found)


def _has_own_key(name: str, carriers: Mapping[str, Sequence[Carrier]], inputs: Inputs) -> bool:
    """Whether a move left its sharing key on the Service. It stays: taking it off would be a write for nothing, and one
    that the load balancer checks against a claim it may not have seen go."""
    key = own_sharing_key(inputs.owner, name)
    return any(inputs.observed.sharing_key(carrier.service) == key for carrier in carriers.get(name, ()))


def _granted(
    standing: dict[str, Wish],
    blocks: dict[str, Block],
    last_good: Mapping[str, Exposure],
    inputs: Inputs,
    space: AddressSpace,
    namespace: str,
    keep: frozenset[str],
) -> dict[str, Decision]:
    """Addresses for all. Of a running exposure whose newest form cannot be granted the last good one goes on: writing
    the new one would lose the address it has. `standing` and `blocks` are brought up to date."""
    remembered, last_held = inputs.memory.known_addresses(), inputs.memory.last_held()
    rejected = current(inputs.memory.rejected, inputs.document.exposures, inputs.observed)
    running = {service.exposure for service in inputs.observed.owned(inputs.owner)}
    resting = _resting(standing, inputs)
    while True:
        decisions = allocate(
            standing,
            inputs.observed,
            inputs.owner,
            remembered,
            space,
            namespace,
            kept=keep,
            last_held=last_held,
            rejected=rejected,
            resting=resting,
            former=inputs.former_owners,
            returning=_returning(standing, inputs),
        )
        fallen = {}
        for name, decision in decisions.items():
            good = last_good.get(name)
            if decision.block is None:
                continue
            blocks.setdefault(name, decision.block)
            if good is not None and good.enabled and name in running and good != standing[name].exposure:
                fallen[name] = Wish(name, good, decision.block)
        if not fallen:
            return decisions
        standing.update(fallen)


def _returning(standing: Mapping[str, Wish], inputs: Inputs) -> frozenset[str]:
    """Exposures that were disabled or expired when we looked last, and have no Service."""
    since = inputs.memory.since
    running = {service.exposure for service in inputs.observed.owned(inputs.owner)}
    rested = {str(State.DISABLED), str(State.EXPIRED)}
    return frozenset(name for name in standing if name in since and since[name].state in rested and name not in running)


def _resting(standing: Mapping[str, Wish], inputs: Inputs) -> frozenset[Address]:
    """What exposures that are disabled, expired or blocked wish for or had: they should find it when they come back."""
    found: set[Address] = set()
    remembered = inputs.memory.known_addresses()
    for name in inputs.document.names - frozenset(standing):
        found.update(remembered.get(name, ()))
        if name in inputs.document.exposures:
            found.update(inputs.document.exposures[name].addresses)
    return frozenset(found)


def _default_namespace(site: Site | None, inputs: Inputs) -> str:
    """What the site says; with no site known at all (a new disk, and a twin without one) our Services stay put."""
    if site is not None:
        return site.namespace or inputs.own_namespace
    homes = {service.namespace for service in inputs.observed.owned(inputs.owner)}
    return homes.pop() if len(homes) == 1 else inputs.own_namespace


def _brake(inputs: Inputs, wishes: Wishes) -> Brake:
    held: dict[str, str] = {}
    for service in inputs.observed.owned(inputs.owner):
        if service.exposure is not None:
            held[service.exposure] = f"{held.get(service.exposure, '')} {service.uid}"
    removed = frozenset(held) - frozenset(wishes.wishes) - wishes.keep - _ran_out(inputs, wishes)
    confirmations = [*inputs.confirmations, inputs.document.confirm_removal or ""]
    memory = inputs.memory
    before = Brake(base=frozenset(memory.held_before), released=frozenset(memory.released), mark=memory.removal_mark)
    moment = f"{memory.version} {inputs.now.isoformat()}"
    return brake(held, removed, inputs.guards.max_removal_percent, confirmations, before, moment)


def _ran_out(inputs: Inputs, wishes: Wishes) -> frozenset[str]:
    """Exposures whose time came. One whose time had passed when it was written is removed by who wrote it."""
    good, document = inputs.memory.good_exposures(), inputs.document.exposures
    return frozenset(
        name
        for name in wishes.expired
        if name not in good or name not in document or good[name].expires == document[name].expires
    )


def _name_clashes(
    wishes: Mapping[str, Wish], inputs: Inputs, namespace: str, held_back: frozenset[str]
) -> dict[str, Block]:
    """Exposures that need a Service of another's name (`a` with TCP and UDP has `a-udp` too). Who has it, keeps it, and
    so do those of `held_back`, whose Services stay without a wish."""
    holders = {service.key: service.exposure for service in inputs.observed.owned(inputs.owner)}
    keys = {
        name: [(shape.namespace, shape.name) for shape in service_shapes(name, wish.exposure, namespace)]
        for name, wish in wishes.items()
    }
    claimed: dict[Key, str] = {key: holder for key, holder in holders.items() if holder in held_back}
    clashes: dict[str, Block] = {}
    for name in sorted(keys, key=lambda name: (any(holders.get(key) != name for key in keys[name]), name)):
        taken = next((key for key in keys[name] if claimed.get(key, name) != name), None)
        if taken is None:
            claimed.update(dict.fromkeys(keys[name], name))
        else:
            text = f"Service {taken[0]}/{taken[1]} belongs to exposure {claimed[taken]}; rename one of them"
            service = f"{taken[0]}/{taken[1]}"
            clashes[name] = Block.of("ServiceNameClash", text, service=service, holder=claimed[taken])
    return clashes


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


def _why_blocked(name: str, exposure: Exposure, inputs: Inputs, default_namespace: str) -> Block | None:
    """What no address can cure: fields the cluster does not know, names taken, pods out of reach."""
    observed = inputs.observed
    can = observed.capabilities
    if exposure.load_balancer_class is not None and not can.load_balancer_class:
        return _unsupported("loadBalancerClass", "1.22", can.version)
    if (exposure.ip_family_policy or exposure.ip_families or len(exposure.addresses) > 1) and not can.dual_stack:
        return _unsupported("ipFamilies and dual stack", "1.21", can.version)
    if (exposure.namespace or default_namespace) in observed.unreadable:
        return Block.of(
            "RBACDenied",
            f"Services of namespace {exposure.namespace or default_namespace} may not be read by this module; apply "
            "its Role and RoleBinding there, or choose another namespace",
            verb="list",
            resource="services",
            namespace=exposure.namespace or default_namespace,
        )
    for shape in service_shapes(name, exposure, default_namespace):
        block = _why_name_taken(shape.namespace, shape.name, exposure, inputs)
        if block is not None:
            return block
    namespace = exposure.namespace or default_namespace
    if exposure.module is not None and namespace != inputs.own_namespace:
        matching = observed.pods_matching(namespace, selector_of(exposure) or {})
        if not matching:
            return Block.of(
                "SelectorNamespace",
                f"module {exposure.module} runs in namespace {inputs.own_namespace}, and a Service in {namespace} "
                f"selects only pods of its own namespace; set namespace {inputs.own_namespace}, or use endpoints",
                module=exposure.module,
                runs_in=inputs.own_namespace,
                namespace=namespace,
            )
    return None


def _unsupported(what: str, since: str, version: str) -> Block:
    text = f"{what} needs Kubernetes {since}; this cluster is {version}; leave it out"
    return Block.of("UnsupportedByCluster", text, field=what, needs=since, version=version)


def _why_name_taken(namespace: str, name: str, exposure: Exposure, inputs: Inputs) -> Block | None:
    observed = inputs.observed
    existing = observed.services.get((namespace, name))
    if existing is not None and existing.owned_by(inputs.owner):
        return None
    like_its_own = (
        exposure.module is not None
        and namespace == inputs.own_namespace
        and name == (selector_of(exposure) or {}).get(EDGE_MODULE_LABEL)
    )
    if like_its_own or name in observed.edge_modules(namespace):
        return Block.of(
            "ModuleName",
            f"{name} is the name of an IoT Edge module in namespace {namespace}: edgeAgent's own Service would fail; "
            "rename the exposure",
            name=name,
            namespace=namespace,
        )
    if existing is None:
        return None
    if existing.other_owner == inputs.owner and not exposure.adopt:
        return Block.of(
            "ForeignService",
            f"Service {namespace}/{name} was ours, and somebody changed our labels on it; put them back, or take it "
            "over again with adopt: true",
            service=f"{namespace}/{name}",
            owner="",
        )
    if existing.other_owner in inputs.former_owners and existing.exposure is not None:
        return None
    if existing.other_owner not in (None, inputs.owner):
        return _of_another_module(existing, inputs.memory)
    if not exposure.adopt:
        return Block.of(
            "ForeignService",
            f"Service {namespace}/{name} exists and is not ours; rename the exposure, or take it over with adopt: true",
            service=f"{namespace}/{name}",
            owner="",
        )
    if existing.other_owner == inputs.owner:
        return None  # ours, but for a label that somebody changed
    return why_not_adopted(existing, exposure, observed, inputs.guards)


def _of_another_module(service: ObservedService, memory: Memory) -> Block:
    """A module that moved to another hub, or was renamed, has another owner id; only the device knows that it did."""
    owner = service.other_owner or ""
    known = {owner_id(*parts): name for name in memory.identities if len(parts := name.split("/")) == 3}
    who = f"{known[owner]}, which this module was before" if owner in known else f"the module with owner id {owner}"
    return Block.of(
        "ForeignService",
        f"Service {service.namespace}/{service.name} belongs to {who}; rename the exposure, or, if this module takes "
        f"its place, have the owner of the device set EDGE_EXPOSE_TAKE_OVER={known.get(owner, owner)}",
        service=f"{service.namespace}/{service.name}",
        owner=known.get(owner, owner),
    )
