"""The state of every exposure after a pass, and for each that is not Ready the reason, found by looking. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import State
from edge_expose_contract.models import Exposure
from edge_expose_contract.reasons import Reason
from edge_expose_contract.services import selector_of, service_shapes
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.reconcile import PassPlan
from edge_expose_module.services.outcome import Failure, Outcome


@dataclass(frozen=True, slots=True)
class Status:
    """What is reported of one exposure."""

    state: State
    address: str | None = None
    service: str | None = None
    endpoints: int | None = None
    reason: Reason | None = None
    message: str | None = None
    values: tuple[str, ...] = ()


def assess(pass_plan: PassPlan, observed: Observed, owner: str, outcomes: Mapping[str, Outcome]) -> dict[str, Status]:
    """`observed` is the look taken after the plan was applied."""
    statuses: dict[str, Status] = {}
    services = observed.by_exposure(owner)
    for name in pass_plan.resolved.disabled:
        statuses[name] = Status(State.DISABLED)
    for name in pass_plan.resolved.expired:
        statuses[name] = Status(State.EXPIRED)
    for name in sorted(frozenset(pass_plan.resolved.exposures) | frozenset(pass_plan.blocks)):
        wanted = pass_plan.resolved.exposures.get(name)
        exposure = wanted.exposure if wanted is not None else None
        statuses[name] = _assess_one(name, exposure, pass_plan, observed, services.get(name, []), outcomes.get(name))
    if pass_plan.pending_removal is not None:
        for name in pass_plan.pending_removal.names:
            statuses[name] = _held_back(name, pass_plan, observed, services.get(name, []))
    for name, outcome in outcomes.items():
        # No longer declared, but what is left of it may not be removed: it still serves, so it is not passed over.
        is_declared = name in pass_plan.resolved.exposures or name in pass_plan.blocks
        if not is_declared and outcome.failure is not Failure.TRANSIENT:
            statuses[name] = _assess_one(name, None, pass_plan, observed, services.get(name, []), outcome)
    return statuses


def _held_back(name: str, pass_plan: PassPlan, observed: Observed, own: list[ObservedService]) -> Status:
    """The document takes it away, but it still serves."""
    endpoints = _ready_endpoints(own, observed)
    token = pass_plan.pending_removal.token if pass_plan.pending_removal is not None else ""
    text = "the document takes it away, and that is held back: confirm the removal, or declare it again"
    block = Block.of("RemovalHeldBack", text, token=token)
    return Status(
        State.READY if endpoints and all(s.assigned for s in own if s.is_load_balancer) else State.PENDING,
        _address_text(own),
        f"{own[0].namespace}/{own[0].name}" if own else _planned_name(name, None, pass_plan),
        endpoints,
        block.reason,
        block.message,
        block.values,
    )


def _assess_one(
    name: str,
    exposure: Exposure | None,
    pass_plan: PassPlan,
    observed: Observed,
    own: list[ObservedService],
    outcome: Outcome | None,
) -> Status:
    first = own[0] if own else None
    address = _address_text(own)
    endpoints = _ready_endpoints(own, observed)
    service = f"{first.namespace}/{first.name}" if first is not None else _planned_name(name, exposure, pass_plan)

    def status(state: State, block: Block | None = None) -> Status:
        return Status(
            state,
            address,
            service,
            endpoints if first is not None else None,
            block.reason if block is not None else None,
            block.message if block is not None else None,
            block.values if block is not None else (),
        )

    block = pass_plan.blocks.get(name)
    if block is not None:
        if address is not None:
            block = replace(block, message=f"{block.message}; {_where(own, address)}")
        return status(State.BLOCKED, block)
    if outcome is not None:
        return status(*_failed(outcome))
    leaving = next((service for service in own if service.deleting), None)
    if leaving is not None:
        return status(State.PENDING, why_terminating(leaving))
    if exposure is None or first is None:
        return status(State.PENDING, Block.of("NotCreatedYet", "the Service is not there yet", service=service))
    if exposure.is_external and not all(service.assigned for service in own):
        found, is_final = why_no_address(exposure, own, observed)
        if address is not None:
            found = replace(found, message=f"{found.message}; {_where(own, address)}")
        return status(State.BLOCKED if is_final else State.PENDING, found)
    waiting = pass_plan.waiting.get(name)
    if waiting is not None:
        return status(State.PENDING, waiting)
    move = pass_plan.moves.get(name)
    if move is not None and any(service.assigned != move.target for service in own):
        text = f"a claim asks for {_texts(move.target)} first, so that {_texts(move.held)} is not lost before"
        asked_for = Block.of("WaitingForAddress", text, address=_texts(move.target), held=_texts(move.held))
        return status(State.PENDING, asked_for)
    for one in own:
        asked = observed.requested(one)
        if exposure.is_external and asked not in ((), one.assigned):
            text = f"{_texts(asked)} was requested and is not given yet; still at {_texts(one.assigned)}"
            asked_for = Block.of("WaitingForAddress", text, address=_texts(asked), held=_texts(one.assigned))
            return status(State.PENDING, asked_for)
    if len(own) < len(service_shapes(name, exposure, pass_plan.default_namespace)):
        text = "the second Service (UDP) waits for the first one's address"
        return status(State.PENDING, Block.of("NotCreatedYet", text, service=f"{service}-udp"))
    if endpoints is None:
        return status(State.PENDING, why_endpoints_unknown(first.namespace, observed))
    if endpoints == 0:
        return status(State.PENDING, why_no_endpoints(exposure, first.namespace, observed))
    if exposure.is_external and not observed.load_balancer.advertised:
        return status(
            State.READY,
            Block.of(
                "NotAnnounced",
                "no L2Advertisement or BGPAdvertisement covers the pools: nobody answers for the address",
                address=address or "",
            ),
        )
    return status(State.READY)


RESTING: Final = (State.DISABLED, State.EXPIRED)


def why_unavailable(error: str, since: str) -> Block:
    text = f"the cluster has not been readable since {since}, what became of it is not known: {error}"
    return Block.of("ClusterUnavailable", text, since=since)


def unavailable(statuses: Mapping[str, Status], block: Block) -> dict[str, Status]:
    """What is known of each exposure while the cluster cannot be read: where it was, not how it is."""
    return {
        name: status
        if status.state in RESTING
        else replace(
            status,
            state=State.PENDING,
            endpoints=None,
            reason=block.reason,
            message=block.message,
            values=block.values,
        )
        for name, status in statuses.items()
    }


def _ready_endpoints(own: list[ObservedService], observed: Observed) -> int | None:
    """Of the Service that has the fewest; None where they may not be read."""
    if any(service.namespace in observed.without_endpoints for service in own):
        return None
    return min((observed.ready.get(service.key, 0) for service in own), default=0)


def why_endpoints_unknown(namespace: str, observed: Observed) -> Block:
    resource = "endpointslices.discovery.k8s.io" if observed.capabilities.endpoint_slices else "endpoints"
    return Block.of(
        "EndpointsUnreadable",
        f"whether anything answers is not known: this module may not list {resource} in namespace {namespace}; apply "
        "its Role there",
        resource=resource,
        namespace=namespace,
    )


def _failed(outcome: Outcome) -> tuple[State, Block]:
    block = Block(outcome.reason, outcome.message, outcome.values)
    match outcome.failure:
        case Failure.DENIED | Failure.REFUSED:
            return State.BLOCKED, block
        case Failure.REJECTED:
            return State.FAILED, block
        case Failure.TRANSIENT:
            return State.PENDING, block


def _planned_name(name: str, exposure: Exposure | None, pass_plan: PassPlan) -> str:
    namespace = (exposure.namespace if exposure is not None else None) or pass_plan.default_namespace
    return f"{namespace}/{name}"


def _address_text(own: list[ObservedService]) -> str | None:
    found = dict.fromkeys(address for service in own for address in service.assigned)
    return _texts(sorted(found, key=lambda address: (address.version, int(address)))) or None


def _where(own: list[ObservedService], address: str) -> str:
    """Where an exposure that is blocked is now; its two Services may have come apart."""
    services = [service for service in own if service.is_load_balancer]
    if len({service.assigned for service in services}) <= 1:
        return f"still at {address}"
    return ", ".join(
        f"{service.name} is at {_texts(service.assigned)}" if service.assigned else f"{service.name} has no address"
        for service in services
    )


def _texts(addresses: Iterable[Address]) -> str:
    return ",".join(str(address) for address in addresses)


def why_terminating(service: ObservedService) -> Block:
    names = ", ".join(service.finalizers)
    waits = f"; it waits for finalizer {names}, which its controller has to remove" if names else ""
    text = f"Service {service.namespace}/{service.name} is being deleted and holds its address until it is gone{waits}"
    where = f"{service.namespace}/{service.name}"
    return Block.of("ServiceTerminating", text, service=where, finalizers=names)


def why_no_address(exposure: Exposure, own: list[ObservedService], observed: Observed) -> tuple[Block, bool]:
    """Why the load balancer gave no address, and whether it will not without somebody changing something."""
    load_balancer = observed.load_balancer_for(exposure.load_balancer_class)
    for service in own:
        # Its own word about this Service says more than what is wrong with its configuration.
        answer = observed.explanation(service)
        if not service.assigned and answer is not None:
            return Block(answer.reason, answer.message, answer.values), True
    if load_balancer.pool_error:
        text = f"the load balancer rejects its configuration: {load_balancer.pool_error}; correct it on the device"
        return Block.of("PoolInvalid", text, error=load_balancer.pool_error), True
    asked = _texts(dict.fromkeys(address for service in own for address in observed.requested(service)))
    if exposure.load_balancer_class is not None and not load_balancer.answers_alone:
        waiting = f"waiting for a load balancer of class {exposure.load_balancer_class}"
        return Block.of("WaitingForAddress", waiting, address=asked, held=""), False
    if not load_balancer.answers_alone:
        text = (
            "no load balancer that we know was found (or it may not be read), and no address was given yet; is one "
            "installed?"
        )
        where = ", ".join(f"{service.namespace}/{service.name}" for service in own if not service.assigned)
        return Block.of("UnknownLoadBalancer", text, service=where), False
    if load_balancer.pools is None:
        text = f"{load_balancer.name} has not given the address yet, and no address pool of it can be seen"
        text = f"{text}; are the external service IPs set on the device?"
        return Block.of("WaitingForAddress", text, address=asked, held=""), False
    text = "the load balancer has not given the address yet"
    return Block.of("WaitingForAddress", text, address=asked, held=""), False


def why_no_endpoints(exposure: Exposure, namespace: str, observed: Observed) -> Block:
    selector = selector_of(exposure)
    if selector is None:
        text = "none of the given endpoints is known to the cluster yet"
        return Block.of("NoReadyEndpoints", text, selector="", namespace=namespace)
    shown = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
    matching = observed.pods_matching(namespace, selector)
    if matching == 0:
        text = f"no pod in namespace {namespace} has {shown}; is the workload running there?"
        return Block.of("SelectorMatchesNothing", text, selector=shown, namespace=namespace)
    count = "the pods" if matching is None else f"{matching} pod" + ("s" if matching > 1 else "")
    text = f"{count} with {shown} in namespace {namespace} not ready yet"
    return Block.of("NoReadyEndpoints", text, selector=shown, namespace=namespace)
