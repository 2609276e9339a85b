"""Finds out which load balancer hands out addresses and which pools it has in force. Reads through `Reads`.

Who is seen with pools counts more than whose kinds are merely served: custom resources may be left of an earlier
installation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from edge_expose_contract.addressing import Address
from edge_expose_module.cluster.api import CONFIG_MAPS, EVENTS
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.load_balancers.api import LoadBalancer, Reads, Watched
from edge_expose_module.load_balancers.cilium import detect_cilium
from edge_expose_module.load_balancers.metallb import (
    ALLOCATED_FROM,
    BGP_ADVERTISEMENTS,
    CONFIGURATION_STATES,
    GROUP,
    L2_ADVERTISEMENTS,
    NEW_PREFIX,
    OLD_PREFIX,
    POOLS,
    SOURCE,
    Form,
    MetalLB,
)
from edge_expose_module.load_balancers.metallb_pools import Configuration, from_config_map, from_objects, left_out
from edge_expose_module.load_balancers.pools import Pool
from edge_expose_module.load_balancers.service_controller import detect_service_controller
from edge_expose_module.load_balancers.unknown import Unknown

DEFAULT_NAMESPACE: Final = "metallb-system"
_CONFIG_MAP_NAMES: Final = ("config", "metallb-config", "metallb")
# Kinds that only releases with the metallb.io annotation prefix (0.14.9 and newer) serve.
_NEW_KINDS: Final = frozenset({"configurationstates", "servicebgpstatuses"})
# MetalLB writes its verdict a moment after the pools change; one that has stood for so long is about these pools.
_VERDICT_SECONDS: Final = 10.0
_MOST_LISTENED_TO: Final = 3
"""Namespaces whose Events are read to find out who gives addresses."""


class Detector:
    """Keeps the pools that were last sound: MetalLB goes on with them while its configuration is broken.

    `namespace` is where MetalLB is looked for when not all namespaces may be read. `sound` are the pools known from
    before the start.
    """

    def __init__(
        self,
        namespace: str = DEFAULT_NAMESPACE,
        sound: tuple[Pool, ...] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sound = sound
        self._namespace = namespace
        self._clock = clock
        self._doubted: tuple[str, float] = ("", 0.0)
        self._heard = False

    def detect(self, reads: Reads, services: Collection[ObservedService]) -> LoadBalancer:
        metallb = self._custom_resources(reads, services) or self._config_map(reads)
        if metallb is not None and (metallb.pools or metallb.pool_error):
            return self._in_force(metallb, services)
        other = detect_cilium(reads, services) or detect_service_controller(services)
        if other is not None:
            return other
        if metallb is not None:
            return self._in_force(metallb, services)
        return MetalLB(Form.UNSEEN) if self._hears_metallb(reads, services) else Unknown()

    def _in_force(self, found: MetalLB, services: Iterable[ObservedService]) -> MetalLB:
        """`found` with the pools that MetalLB works with: the stated ones, or the last sound ones."""
        error = found.pool_error
        if not error and found.pools is not None and not _takes_away(found):
            error = left_out(found.pools, self.sound, _held(s for s in services if s.load_balancer_class is None))
        if error:
            return replace(found, pools=self.sound, pool_error=error)
        if found.pools is not None:
            self.sound = found.pools
        return found

    def _hears_metallb(self, reads: Reads, services: Iterable[ObservedService]) -> bool:
        """Where its namespace may not be read, its Events in ours tell that it is there. They are kept for an hour, so
        that what was heard once counts."""
        if not self._heard:
            namespaces = sorted({service.namespace for service in services if service.is_load_balancer})
            self._heard = any(
                (event.get("source") or {}).get("component") == SOURCE
                for namespace in namespaces[:_MOST_LISTENED_TO]
                for event in reads.list(EVENTS, namespace, fields="involvedObject.kind=Service") or ()
            )
        return self._heard

    # --- custom resources ---

    def _custom_resources(self, reads: Reads, services: Iterable[ObservedService]) -> MetalLB | None:
        served = reads.served(GROUP)
        if POOLS.plural not in served:
            return None
        written = any(f"{NEW_PREFIX}/{ALLOCATED_FROM}" in service.annotations for service in services)
        prefix = NEW_PREFIX if written or served & _NEW_KINDS else OLD_PREFIX
        where: str | None = None
        items = reads.list(POOLS, None)
        if items is None:
            where = self._namespace
            items = reads.list(POOLS, where)
        if items is None:
            # What may not be read for a while is not gone.
            return MetalLB(Form.CRD, prefix, self.sound)
        if not items:
            # Kinds without a pool: only where pools were seen before is it known that there is none now.
            pools = None if self.sound is None else ()
            return MetalLB(Form.CRD, prefix, pools, watched=frozenset({(POOLS, where)}))
        home = str(items[0]["metadata"].get("namespace") or self._namespace)
        configuration = self._judged(from_objects(items), reads, served, home)
        watched: set[Watched] = {(POOLS, where)}
        if CONFIGURATION_STATES.plural in served:
            watched.add((CONFIGURATION_STATES, home))
        advertised = self._advertised(reads, home)
        return MetalLB(Form.CRD, prefix, configuration.pools, configuration.error, advertised, frozenset(watched))

    def _judged(self, stated: Configuration, reads: Reads, served: Collection[str], home: str) -> Configuration:
        """MetalLB's own verdict decides where it is served, once it has had time to look at these pools."""
        if CONFIGURATION_STATES.plural not in served:
            return stated
        states = reads.list(CONFIGURATION_STATES, home) or ()
        status = next((item.get("status") or {} for item in states if item["metadata"]["name"] == "controller"), {})
        if status.get("result") == "Invalid":
            said = " ".join(str(status.get("errorSummary") or "").split())
            return replace(stated, error=stated.error or said or "MetalLB reports its configuration as invalid")
        if not stated.error or status.get("result") != "Valid":
            return stated
        if self._doubted[0] != stated.error:
            self._doubted = (stated.error, self._clock())
        return replace(stated, error="") if self._clock() - self._doubted[1] > _VERDICT_SECONDS else stated

    def _advertised(self, reads: Reads, home: str) -> bool:
        for resource in (L2_ADVERTISEMENTS, BGP_ADVERTISEMENTS):
            items = reads.list(resource, home)
            if items is None or items:
                return True
        return False

    # --- ConfigMap ---

    def _config_map(self, reads: Reads) -> MetalLB | None:
        for name in _CONFIG_MAP_NAMES:
            item = reads.get(CONFIG_MAPS, self._namespace, name)
            if item is not None:
                return self._from_config_map(item)
        elsewhere = reads.list(CONFIG_MAPS, None, fields=f"metadata.name={_CONFIG_MAP_NAMES[0]}") or ()
        alike = [item for item in elsewhere if "address-pools" in str((item.get("data") or {}).get("config", ""))]
        # Anybody may write one of that name into a namespace of their own: of several, none is known to be real.
        return self._from_config_map(alike[0]) if len(alike) == 1 else None

    def _from_config_map(self, item: Mapping[str, Any]) -> MetalLB:
        configuration = from_config_map(item)
        home = str(item["metadata"].get("namespace") or self._namespace)
        pools = configuration.pools if configuration.pools or configuration.error else None
        return MetalLB(
            Form.CONFIG_MAP, OLD_PREFIX, pools, configuration.error, watched=frozenset({(CONFIG_MAPS, home)})
        )


def _takes_away(found: MetalLB) -> bool:
    """Whether this release takes an address away that new pools leave out; 0.13.12 and older reject such pools."""
    return found.form is Form.CRD and found.prefix == NEW_PREFIX


def _held(services: Iterable[ObservedService]) -> dict[str, tuple[Address, ...]]:
    return {f"{service.namespace}/{service.name}": service.assigned for service in services}
