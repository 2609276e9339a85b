"""Which guard rails hold now: the environment's and those of the ConfigMap, read anew in each pass.

A ConfigMap that cannot be read, or that makes no sense, changes nothing: the last good one holds, from the state file.
With none known nobody knows what the owner allows, so nothing new is made and what runs goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from edge_expose_module.cluster.api import GUARD_RAILS, NODES, Cluster, ClusterError, NotFound
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.desired.rails.networks import cluster_networks
from edge_expose_module.desired.rails.table import RAILS, merged, read

_KEYS: Final = frozenset(rail.key for rail in RAILS)


@dataclass(frozen=True, slots=True)
class Rails:
    """`known` is the last good ConfigMap, to be remembered; None when there never was one. `warnings` are for the
    report."""

    guards: Guards
    known: Mapping[str, str] | None
    warnings: tuple[str, ...] = ()


class RailsReader:
    """`namespace` is the module's own; `environment` what its environment says."""

    def __init__(self, cluster: Cluster, namespace: str, environment: Guards) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._environment = environment
        self._name = f"ConfigMap {namespace}/{GUARD_RAILS.only}"

    def read(self, known: Mapping[str, str] | None, observed: Observed, *, endpoints: bool) -> Rails:
        """Blocks. `endpoints` says whether any exposure has some: only then the cluster's networks matter."""
        rails = self._rails(known)
        if not endpoints:
            return rails
        networks = cluster_networks(self._cluster.addresses(), observed.services.values(), self._nodes())
        guards = replace(rails.guards, networks=networks)
        if "endpoints" in guards.said:
            return replace(rails, guards=guards)
        told = (
            f"guard rails: nobody tells where {' and '.join(networks.unknown)} are: endpoints there are not refused "
            "unless ALLOW_ENDPOINTS says which may be"
        )
        return replace(rails, guards=guards, warnings=(*rails.warnings, told))

    def _rails(self, known: Mapping[str, str] | None) -> Rails:
        try:
            data = self._cluster.get(GUARD_RAILS, self._namespace, GUARD_RAILS.only).get("data") or {}
        except NotFound:
            if known is None:
                return Rails(self._environment, None)
            return self._last_good(known, "was deleted (to lift guard rails, leave it there empty)")
        except ClusterError as error:
            return self._last_good(known, f"cannot be read ({error})")
        found = {str(key): str(text) for key, text in data.items()}
        owner, problems = read(found, self._name)
        problems += [f"{key} is no guard rail" for key in sorted(found.keys() - _KEYS)]
        if problems:
            return self._last_good(known, f"is malformed: {'; '.join(problems)}")
        return Rails(merged(self._environment, owner), found)

    def _last_good(self, known: Mapping[str, str] | None, trouble: str) -> Rails:
        # The report clips long lines: what follows from it comes first.
        what = f"{self._name} {trouble}"
        if known is None:
            told = f"guard rails: none read so far, so new exposures are not created and existing Services stay: {what}"
            return Rails(replace(self._environment, unknown=f"{self._name} {trouble}"), None, (told,))
        owner, _ = read(known, self._name)
        return Rails(merged(self._environment, owner), known, (f"guard rails: the last good ones hold: {what}",))

    def _nodes(self) -> tuple[Mapping[str, object], ...] | None:
        try:
            return self._cluster.list(NODES, None).items
        except ClusterError:
            return None
