"""Who claims which address: the exposures that want one, and everybody else's Services. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_expose_contract.addressing import Address
from edge_expose_contract.models import Exposure
from edge_expose_contract.services import backend_key, own_sharing_key, service_shapes, sharing_key
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.load_balancers.api import Claim, LoadBalancer


class Ledger:
    """Claims by address, under the sharing rules of one load balancer."""

    def __init__(self, load_balancer: LoadBalancer) -> None:
        self._load_balancer = load_balancer
        self.claims: dict[Address, list[Claim]] = defaultdict(list)
        self.groups: dict[str, tuple[Address, ...]] = {}

    def add(self, addresses: Iterable[Address], claim: Claim) -> None:
        for address in addresses:
            self.claims[address].append(claim)

    def why_taken(self, address: Address, mine: Claim) -> Block | None:
        return next((block for _, block in self._against(address, mine)), None)

    def in_the_way(self, address: Address, mine: Claim) -> frozenset[str]:
        """Exposures that claim this address and cannot share it."""
        return frozenset(claim.exposure for claim, _ in self._against(address, mine) if claim.exposure is not None)

    def _against(self, address: Address, mine: Claim) -> Iterator[tuple[Claim, Block]]:
        for claim in self.claims.get(address, ()):
            if claim.exposure is not None and claim.exposure == mine.exposure:
                continue
            block = self._load_balancer.why_not_shared(address, mine, claim)
            if block is not None:
                yield claim, block

    def taken(self, exposure: str) -> frozenset[Address]:
        """Addresses that anybody but this exposure claims."""
        return frozenset(
            address for address, claims in self.claims.items() if any(claim.exposure != exposure for claim in claims)
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """An external exposure with what it holds now."""

    name: str
    wanted: ResolvedExposure
    assigned: tuple[Address, ...]
    requested: tuple[Address, ...]
    remembered: tuple[Address, ...]
    claim: Claim
    asked: tuple[Address, ...] = ()
    """What we asked for, by our own note; another request was written by somebody else."""
    settled: bool = False
    """Holds the address it asks for under the sharing key it wants now: who leaves a group does not take its address
    along, not even while the load balancer has not looked yet."""
    claimed: tuple[Address, ...] = ()
    """What a claim of this exposure was granted."""
    last_held: tuple[Address, ...] = ()
    """What it had last, also when it was lost since."""

    @property
    def exposure(self) -> Exposure:
        return self.wanted.exposure

    @property
    def pinned(self) -> tuple[Address, ...]:
        return self.wanted.exposure.addresses

    @property
    def group(self) -> str | None:
        return self.wanted.exposure.share

    @property
    def drifted(self) -> bool:
        """Whether somebody else wrote another request into its Service: what it has now is not what it was given."""
        return bool(self.asked) and self.requested != self.asked


def candidates_of(
    exposures: Mapping[str, ResolvedExposure],
    carriers: Mapping[str, Sequence[Carrier]],
    observed: Observed,
    owner: str,
    remembered: Mapping[str, tuple[Address, ...]],
    last_held: Mapping[str, tuple[Address, ...]],
    default_namespace: str,
) -> dict[str, Candidate]:
    """What every external exposure holds, asks for and had; `carriers` as `carriers_of` gives them."""
    found: dict[str, Candidate] = {}
    claimed = {claim.exposure: claim.assigned for claim in observed.claims(owner)}
    for name, wanted in sorted(exposures.items()):
        exposure = wanted.exposure
        if not exposure.is_external:
            continue
        services = [carrier.service for carrier in carriers[name]]
        declared = [carrier.service for carrier in carriers[name] if carrier.is_declared] or services
        assigned = merged(s.assigned for s in services)
        requested = merged(observed.requested(s) for s in services)
        claim = Claim(
            party=f"exposure {name}",
            exposure=name,
            ports=exposure.published,
            share=sharing_key(name, exposure, owner, default_namespace) or "",
            backend=backend_key(exposure),
            namespace=exposure.namespace or default_namespace,
        )
        found[name] = Candidate(
            name,
            wanted,
            assigned,
            requested,
            remembered.get(name, ()),
            claim,
            merged(s.asked for s in services),
            bool(assigned)
            and requested in ((), assigned)
            # The key of a move stays on a Service, and lets nobody else in.
            and all(observed.sharing_key(s) in (claim.share, own_sharing_key(owner, name)) for s in declared),
            claimed.get(name, ()),
            last_held.get(name, ()),
        )
    return found


@dataclass(frozen=True, slots=True)
class Carrier:
    """A Service that carries an exposure now: the declared one, or another with our labels that is about to go."""

    service: ObservedService
    is_declared: bool


def carriers_of(
    exposures: Mapping[str, ResolvedExposure],
    observed: Observed,
    owner: str,
    default_namespace: str,
    former: frozenset[str] = frozenset(),
) -> dict[str, list[Carrier]]:
    """By exposure, the declared Services first: what they hold counts, whatever somebody wrote on them or on copies.

    `former` are owner ids whose Services the device's rails let this module make its own.
    """
    declared = {
        (shape.namespace, shape.name): name
        for name, wanted in exposures.items()
        for shape in service_shapes(name, wanted.exposure, default_namespace)
    }
    found: dict[str, list[Carrier]] = {name: [] for name in exposures}
    for key, service in sorted(observed.services.items(), key=lambda item: (item[0] not in declared, item[0])):
        name = declared.get(key)
        if service.owned_by(owner) and service.is_claim:
            continue
        if service.owned_by(owner):
            carried = name or service.exposure
            if carried in found:
                found[carried].append(Carrier(service, name is not None))
        elif name is not None and (
            (service.other_owner in former and service.exposure == name)
            or (exposures[name].exposure.adopt and service.may_be_adopted_by(owner))
        ):
            found[name].append(Carrier(service, True))
    return found


def merged(parts: Iterable[tuple[Address, ...]]) -> tuple[Address, ...]:
    """Addresses of the Services of one exposure; they share them, so the first of each family counts."""
    by_version: dict[int, Address] = {}
    for part in parts:
        for address in part:
            by_version.setdefault(address.version, address)
    return tuple(by_version[version] for version in sorted(by_version))


def held_by_any(observed: Observed, owner: str) -> dict[str, tuple[Address, ...]]:
    """The addresses of every exposure that has any."""
    found = {n: merged(s.assigned for s in services) for n, services in observed.by_exposure(owner).items()}
    return {name: addresses for name, addresses in found.items() if addresses}


def held_whole(observed: Observed, owner: str) -> dict[str, tuple[Address, ...]]:
    """The addresses of every exposure all of whose Services have them."""
    found: dict[str, tuple[Address, ...]] = {}
    for name, services in observed.by_exposure(owner).items():
        given = {service.assigned for service in services if service.is_load_balancer}
        if len(given) == 1 and (addresses := given.pop()):
            found[name] = addresses
    return found


def claim_others(
    ledger: Ledger,
    carriers: Mapping[str, Sequence[Carrier]],
    observed: Observed,
    owner: str,
    kept: frozenset[str],
    *,
    waiting: bool,
) -> None:
    """Everybody else's claims: foreign Services, and ours that stay although nothing declares them. Those that hold an
    address, or those `waiting` for the one they ask for: these come after what we hold, ask for and remember."""
    own_keys = {carrier.service.key for found in carriers.values() for carrier in found}
    for key, service in sorted(observed.services.items()):
        if key in own_keys or not service.is_load_balancer or bool(service.assigned) is waiting:
            continue
        ours = service.owned_by(owner)
        is_claim = ours and service.is_claim
        if ours and not service.deleting and (is_claim or service.exposure not in kept):
            continue  # about to be pruned
        if is_claim and waiting:
            continue  # what it asked for it will not get
        party = f"exposure {service.exposure}" if ours else f"Service {service.namespace}/{service.name}"
        if service.deleting:
            party += ", which is being deleted"
        share = observed.sharing_key(service)
        # Its own exposure may follow a claim there.
        exposure = service.exposure if is_claim else None
        claim = Claim(party, exposure, service.ports, share, service.local_backend, service.namespace, waiting)
        ledger.add(observed.requested(service) if waiting else service.assigned, claim)
