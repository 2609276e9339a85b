"""MetalLB's allocator: who holds which address, under which sharing key, on which ports. Pure state, no I/O."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..kinds.names import parse_ip
from ..kinds.selectors import label_selector_matches
from .answers import Refused
from .pools import Address, Pool, Pools

Port = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a Service asks an address for."""

    key: str
    """namespace/name"""
    namespace: str
    labels: tuple[tuple[str, str], ...]
    ports: tuple[Port, ...]
    sharing: str
    backend: str
    family: str
    """ipv4, ipv6 or dual, from the cluster IPs."""
    policy: str = "SingleStack"
    first_family: str = "IPv4"


@dataclass(frozen=True, slots=True)
class _Held:
    pool: str
    ips: tuple[Address, ...]
    ports: tuple[Port, ...]
    sharing: str
    backend: str


class Allocator:
    """The state of one controller. `legacy` is 0.9 to 0.11 behaviour, else 0.16."""

    def __init__(self, *, legacy: bool) -> None:
        self._legacy = legacy
        self.pools = Pools()
        self._held: dict[str, _Held] = {}
        self.shuffle: Callable[[list[Pool]], None] = random.shuffle
        """MetalLB walks a Go map, whose order is random."""

    def set_pools(self, pools: Pools) -> None:
        """Take a new configuration; the old version refuses one that no longer covers a held address."""
        if self._legacy:
            for key, held in self._held.items():
                if self._pool_for(held.ips, pools) is None:
                    namespace, name = key.split("/", 1)
                    situation = "configuration-leaves-out-held-address"
                    raise Refused(situation, namespace=namespace, name=name, address=held.ips[0])
        self.pools = pools
        for key, held in list(self._held.items()):
            pool = self._pool_for(held.ips, pools)
            if pool is None:
                del self._held[key]
            elif pool.name != held.pool:
                self._held[key] = _Held(pool.name, held.ips, held.ports, held.sharing, held.backend)

    @staticmethod
    def _pool_for(ips: Sequence[Address], pools: Pools) -> Pool | None:
        for pool in pools.by_name.values():
            if all(pool.holds(ip) for ip in ips):
                return pool
        return None

    def covers(self, ips: Sequence[Address]) -> bool:
        """Tell whether one pool holds all these addresses."""
        return self._pool_for(ips, self.pools) is not None

    def pool(self, key: str) -> str:
        """Return the name of the pool a Service's addresses come from, empty when it holds none."""
        held = self._held.get(key)
        return held.pool if held else ""

    def ips(self, key: str) -> tuple[Address, ...]:
        """Return the addresses a Service holds."""
        held = self._held.get(key)
        return held.ips if held else ()

    def unassign(self, key: str) -> bool:
        """Free what a Service holds; tells whether there was anything."""
        return self._held.pop(key, None) is not None

    def assign(self, claim: Claim, ips: Sequence[Address]) -> None:
        """Give these addresses to a Service, or refuse and change nothing."""
        pool = self._pool_for(ips, self.pools)
        if pool is None:
            raise Refused("address-outside-pools", address=ips[0])
        if not self._compatible(pool, claim):
            raise Refused("pool-restricted-by-namespace-address", pool=pool.name)
        for ip in ips:
            self._check_sharing(claim, ip)
        self._held[claim.key] = _Held(pool.name, tuple(ips), claim.ports, claim.sharing, claim.backend)

    def _check_sharing(self, claim: Claim, ip: Address) -> None:
        others = {key: held for key, held in self._held.items() if ip in held.ips and key != claim.key}
        for held in others.values():
            situation = _sharing_problem(held, claim)
            if situation:
                keys = {"key": claim.sharing, "holder_key": held.sharing}
                backends = {"backend": claim.backend, "holder_backend": held.backend}
                holder = ",".join(sorted(others))
                raise Refused(situation, address=ip, holder=holder, **keys, **backends)
        for protocol, port in claim.ports:
            if any((protocol, port) in held.ports for held in others.values()):
                raise Refused("address-taken-same-port", address=ip, protocol=protocol, port=port)

    def _compatible(self, pool: Pool, claim: Claim) -> bool:
        rules = pool.allocation
        if rules is None:
            return True
        if rules.namespaces and claim.namespace not in rules.namespaces:
            return False
        labels = dict(claim.labels)
        if rules.service_selectors:
            return any(label_selector_matches(s, labels) for s in rules.service_selectors)
        return True

    def _free(self, pool: Pool, claim: Claim) -> dict[str, Address]:
        found: dict[str, Address] = {}
        for version, family in ((4, "ipv4"), (6, "ipv6")):
            for ip in pool.addresses(version):
                try:
                    self._check_sharing(claim, ip)
                except Refused:
                    continue
                found[family] = ip
                break
        return found

    @staticmethod
    def _select(free: dict[str, Address], family: str, policy: str) -> tuple[Address, ...]:
        if family in ("ipv4", "ipv6"):
            return (free[family],) if family in free else ()
        both = tuple(free[f] for f in ("ipv4", "ipv6") if f in free)
        if policy == "RequireDualStack":
            return both if len(both) == 2 else ()
        return both if policy == "PreferDualStack" else ()

    def allocate_from(self, claim: Claim, name: str) -> tuple[Address, ...]:
        """Give the first fitting address of one pool."""
        pool = self.pools.by_name.get(name)
        if pool is None:
            raise Refused("pool-unknown", asked_pool=name)
        free = self._free(pool, claim)
        ips = self._select(free, claim.family, claim.policy)
        if not ips:
            if self._legacy or not free:
                raise Refused("pool-full", pool=name)
            raise Refused("pool-without-second-family" if claim.family == "dual" else "pool-of-other-family", pool=name)
        self.assign(claim, ips)
        return ips

    def allocate(self, claim: Claim) -> tuple[Address, ...]:
        """Give the first fitting address of any pool that is handed out automatically."""
        pinned = [p for p in self.pools.by_name.values() if p.auto_assign and self._pinned(p, claim)]
        pinned.sort(key=lambda p: (p.allocation.priority or 1 << 31) if p.allocation else 1 << 31)
        rest = [p for p in self.pools.by_name.values() if p.auto_assign and p.allocation is None]
        self.shuffle(rest)
        for group in (pinned, rest):
            partial: tuple[Address, ...] = ()
            for pool in group:
                ips = self._select(self._free(pool, claim), claim.family, claim.policy)
                if ips and (len(ips) == 2 or claim.family != "dual"):
                    self.assign(claim, ips)
                    return ips
                partial = self._better(partial, ips, claim)
            if partial:
                self.assign(claim, partial)
                return partial
        raise Refused("no-address-free")

    @staticmethod
    def _better(current: tuple[Address, ...], offered: tuple[Address, ...], claim: Claim) -> tuple[Address, ...]:
        first = 6 if claim.first_family == "IPv6" else 4
        if not current or (offered and offered[0].version == first and current[0].version != first):
            return offered or current
        return current

    def _pinned(self, pool: Pool, claim: Claim) -> bool:
        rules = pool.allocation
        if rules is None or not (rules.namespaces or rules.service_selectors):
            return False
        return self._compatible(pool, claim)

    def allocate_second(self, claim: Claim, existing: Address, name: str) -> Address:
        """Add an address of the other family from the same pool, keeping the first."""
        pool = self.pools.by_name.get(name)
        if pool is None:
            raise Refused("pool-unknown", asked_pool=name)
        family = "ipv6" if existing.version == 4 else "ipv4"
        free = self._free(pool, claim)
        if family not in free:
            raise Refused("address-not-added", address=existing, pool=name)
        self.assign(claim, (existing, free[family]))
        return free[family]


def _sharing_problem(held: _Held, claim: Claim) -> str:
    """The situation in which a holder does not share, empty when it does."""
    if not held.sharing:
        return "address-taken"
    if not claim.sharing:
        return "address-taken-asker-has-no-key"
    if held.sharing != claim.sharing:
        return "address-taken-other-key"
    return "address-taken-other-backend" if held.backend != claim.backend else ""


def parse_all(texts: Sequence[str]) -> list[Address] | None:
    """Parse addresses, or return None when one is none."""
    found: list[Address] = []
    for text in texts:
        address = parse_ip(text)
        if address is None:
            return None
        found.append(address)
    return found
