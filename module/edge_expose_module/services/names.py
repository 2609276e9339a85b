"""Whose name a Service has: another exposure's, an IoT Edge module's, or somebody else's. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from edge_expose_contract.identity import EDGE_MODULE_LABEL, owner_id
from edge_expose_contract.models import Exposure
from edge_expose_contract.services import selector_of, service_shapes
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import Key, ObservedService
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.pass_inputs import PassInputs
from edge_expose_module.services.adoption import why_not_adopted
from edge_expose_module.state.memory import Memory


def name_clashes(
    exposures: Mapping[str, ResolvedExposure], inputs: PassInputs, namespace: str, held_back: frozenset[str]
) -> dict[str, Block]:
    """Exposures that need a Service of another's name (`a` with TCP and UDP has `a-udp` too). Who has it, keeps it, and
    so do those of `held_back`, whose Services stay although nothing declares them."""
    holders = {service.key: service.exposure for service in inputs.observed.owned(inputs.owner)}
    keys = {
        name: [(shape.namespace, shape.name) for shape in service_shapes(name, wanted.exposure, namespace)]
        for name, wanted in exposures.items()
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


def why_name_taken(namespace: str, name: str, exposure: Exposure, inputs: PassInputs) -> Block | None:
    """Why an exposure may not have a Service of this name; None where it may, or has it already."""
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
