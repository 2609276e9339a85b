"""The loop: level-triggered, one pass at a time, each from the whole desired document and the whole observed cluster.

A pass: read the twin (or go on without it), believe, parse, look, decide, remember, apply, look again, assess, report.
Handlers and watches only wake it. Nothing that fails ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from edge_expose_contract.identity import Code, State
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import DesiredDocument, Refusal, parse_desired
from edge_expose_module import remembering, reporting
from edge_expose_module.applying import apply
from edge_expose_module.assessing import Outcome, Status, assess
from edge_expose_module.believing import Belief, believe
from edge_expose_module.clusterapi import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    POOLS,
    SERVICES,
    Cluster,
    ClusterError,
)
from edge_expose_module.deciding import Decided, Inputs, decide
from edge_expose_module.guards import Guards
from edge_expose_module.looking import METALLB_NAMESPACE, Looker
from edge_expose_module.memory import Memory
from edge_expose_module.nudging import Nudges
from edge_expose_module.observing import Key, LoadBalancer, Observed
from edge_expose_module.planning import Verb
from edge_expose_module.probes import Ask, Prober, ProbeResult, Target
from edge_expose_module.refusals import Refusals
from edge_expose_module.twinlink import TwinLink, TwinSections, TwinUnavailable
from edge_expose_module.watching import Watched, Watches

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
"""Pause before another pass while something is not Ready or the cluster is away; watches usually wake us sooner."""
_DEBOUNCE_SECONDS: Final = 0.02


class Store(Protocol):
    def load(self) -> Memory: ...

    def save(self, memory: Memory) -> None: ...


class Measures(Protocol):
    """Where a pass leaves its figures."""

    def record_pass(
        self, seconds: float, outcome: str, decided: Decided | None, failures: Mapping[str, Outcome]
    ) -> None: ...

    def record_state(self, report: Mapping[str, Any], hub: bool, cluster: bool, latencies: Mapping[str, float]) -> None:
        """`latencies` are milliseconds of the last good probe, by exposure."""


class Watching(Protocol):
    def ensure(self, wanted: Iterable[Watched]) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are: the owner id, the version reported, and the namespace IoT Edge modules live in."""

    owner: str
    version: str
    namespace: str


@dataclass(slots=True)
class View:
    """What the last pass saw, for direct methods and health checks."""

    report: dict[str, Any] = field(default_factory=dict)
    statuses: Mapping[str, Status] = field(default_factory=dict)
    decided: Decided | None = None
    observed: Observed | None = None
    passes: int = 0
    started: float | None = None
    """When the pass under way began, on the monotonic clock; None between passes."""
    cluster_error: str = ""


class Controller:
    def __init__(
        self,
        identity: Identity,
        cluster: Cluster,
        twin: TwinLink,
        store: Store,
        guards: Guards,
        measures: Measures,
        *,
        resync_seconds: float = 300.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        watches: Watching | None = None,
        ask: Ask | None = None,
    ) -> None:
        self.identity = identity
        self.view = View()
        self._cluster = cluster
        self._twin = twin
        self._store = store
        self._guards = guards
        self._measures = measures
        self._resync = resync_seconds
        self._now = now
        self._memory = store.load()
        self._looker = Looker(cluster, identity.owner)
        self._refusals = Refusals()
        self._nudges = Nudges(cluster)
        self._belief = Belief(self._memory.version)
        self._acknowledged: Mapping[str, Any] | None = None
        self._refusal: Refusal | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = asyncio.Event()
        self._twin_changed = True
        self._passed = asyncio.Condition()
        self._watches = watches or Watches(cluster, self.wake)
        self.prober = Prober(self._to_probe, ask or _nobody_asks, self.wake)
        self._stopping = False
        self._beat = time.monotonic()

    def is_alive(self, limit: float) -> bool:
        """The loop turns, and the pass under way has not lasted `limit` seconds. Callable from any thread."""
        now, started = time.monotonic(), self.view.started
        return now - self._beat < limit and (started is None or now - started < limit)

    # --- waking ---

    def wake(self) -> None:
        """From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._awake.set)

    def wake_for_twin(self) -> None:
        self._twin_changed = True
        self.wake()

    def confirm(self, token: str) -> None:
        """Releases the mass-removal brake for the set this token names."""
        self._memory = replace(self._memory, confirmed=(token,))
        self.wake()

    async def reconcile_now(self, deadline: float) -> bool:
        """A whole pass that starts after this call; False when it did not end in time."""
        async with self._passed:
            goal = self.view.passes + 2  # one may be under way and not have seen what the caller means
            self.wake_for_twin()
            try:
                async with asyncio.timeout(deadline):
                    while self.view.passes < goal:
                        self._awake.set()
                        await self._passed.wait()
            except TimeoutError:
                return False
        return True

    # --- the loop ---

    async def run(self, methods: Any) -> None:
        self._loop = asyncio.get_running_loop()
        await self._twin.start(self.wake_for_twin, methods)
        beside = [
            asyncio.create_task(self._heartbeat(), name="heartbeat"),
            asyncio.create_task(self.prober.run(), name="probes"),
        ]
        try:
            while not self._stopping:
                pause = await self._guarded_pass()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._awake.wait()
                        await asyncio.sleep(_DEBOUNCE_SECONDS)
                if not self._awake.is_set():
                    self._twin_changed = True  # the timer: look at the twin too, its patch may have been lost
                self._awake.clear()
        finally:
            for task in beside:
                task.cancel()
            self._watches.stop()
            await self._twin.stop()

    def stop(self) -> None:
        self._stopping = True
        self._awake.set()

    def _to_probe(self) -> dict[str, Target]:
        """Exposures that want a probe and have an address, with it."""
        decided = self.view.decided
        targets: dict[str, Target] = {}
        for name, wish in (decided.wishes.wishes if decided is not None else {}).items():
            status = self.view.statuses.get(name)
            if wish.exposure.probe is not None and status is not None and status.address is not None:
                targets[name] = Target(wish.exposure, status.address.split(",")[0])
        return targets

    async def _heartbeat(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(1.0)

    async def _guarded_pass(self) -> float:
        start = self.view.started = time.monotonic()
        try:
            pause = await self.reconcile()
        except Exception:  # the loop must live on; the trace is in the log
            log.exception("a pass failed unexpectedly")
            self._measures.record_pass(time.monotonic() - start, "error", None, {})
            pause = RETRY_SECONDS
        self.view.started = None
        async with self._passed:
            self.view.passes += 1
            self._passed.notify_all()
        return pause

    async def reconcile(self) -> float:
        """One pass; returns the seconds after which to make another if nothing wakes us."""
        start = time.monotonic()
        document, raw = await self._current_document()
        observed, error = await self._look()
        decided: Decided | None = None
        outcomes: dict[str, Outcome] = {}
        if document is not None and observed is not None:
            decided = decide(self._inputs(document, observed))
            if self._refusals.learn(observed, self.identity.owner, self._drifted(decided)):
                decided = decide(self._inputs(document, observed))
            self._memory = remembering.after_decision(self._memory, raw, decided, observed, self.identity.owner)
            self._store.save(self._memory)
            if decided.plan.changes:
                outcomes = await asyncio.to_thread(apply, self._cluster, decided.plan)
                observed_after, error = await self._look()
                observed = observed_after or observed
            await asyncio.to_thread(self._nudges.nudge, decided, observed, self.identity.owner)
            self._watches.ensure(self._to_watch(observed))
        report = self._compose(document, decided, observed, outcomes, error)
        self._store.save(self._memory)
        reported = await self._report(report)
        outcome = "ok" if not error and not outcomes else "partial"
        self._measures.record_pass(time.monotonic() - start, outcome, decided, outcomes)
        latencies = {n: p.milliseconds for n, p in self.prober.results.items() if p.milliseconds is not None}
        self._measures.record_state(report, self._twin.connected, not error, latencies)
        return self._pause(decided, outcomes, error, reported)

    # --- stages ---

    async def _current_document(self) -> tuple[DesiredDocument | None, Mapping[str, Any]]:
        """The document to act on: the twin's if it can be read and is accepted, else the last good one."""
        sections = await self._read_twin() if self._twin_changed else None
        if sections is not None:
            result = parse_desired(sections.desired)
            if isinstance(result, Refusal):
                self._refusal = result
                log.warning("desired properties refused with %s: %s", result.code, result.description)
            else:
                self._refusal = None
                self._memory = remembering.accepted(self._memory, sections.desired, sections.version, result)
                return result, sections.desired
        raw = self._memory.document
        if raw is None:
            return None, {}
        result = parse_desired(dict(raw))
        return (None, {}) if isinstance(result, Refusal) else (result, raw)

    async def _read_twin(self) -> TwinSections | None:
        self._twin_changed = False
        try:
            sections = await self._twin.read()
        except TwinUnavailable as error:
            log.debug("twin not read: %s", error)
            self._acknowledged = None
            return None
        if self._acknowledged is None:
            self._memory = self._memory.learn_reported(sections.reported)
        self._acknowledged = sections.reported
        self._belief, act = believe(self._belief, sections.version, sections.desired)
        if not act:
            log.warning("the twin went back to version %d: waiting for a second equal read", sections.version)
            self._twin_changed = True
            return None
        return sections

    async def _look(self) -> tuple[Observed | None, str]:
        namespaces = {self.identity.namespace, *self._namespaces_of_document()}
        try:
            return await asyncio.to_thread(self._looker.look, namespaces), ""
        except ClusterError as error:
            log.info("cluster: %s", error)
            return None, f"{type(error).__name__}: {error}"

    def _namespaces_of_document(self) -> set[str]:
        found: set[str] = set()
        site = self._memory.good_site()
        if site is not None and site.namespace is not None:
            found.add(site.namespace)
        document = parse_desired(dict(self._memory.document or {}))
        if isinstance(document, DesiredDocument):
            found.update(e.namespace for e in document.exposures.values() if e.namespace is not None)
        return found

    def _inputs(self, document: DesiredDocument, observed: Observed) -> Inputs:
        return Inputs(
            document=document,
            memory=self._memory,
            observed=observed,
            guards=self._guards,
            owner=self.identity.owner,
            own_namespace=self.identity.namespace,
            now=self._now(),
            refused=self._refusals.current(),
            confirmations=self._memory.confirmed,
        )

    def _drifted(self, decided: Decided) -> set[Key]:
        """Services that are about to be changed although we want of them what we wanted before."""
        changed = {(change.namespace, change.name) for change in decided.plan.changes}
        last = self.view.decided.declared if self.view.decided is not None else ()
        before = {(service.namespace, service.name): service for service in last}
        now = {(service.namespace, service.name): service for service in decided.declared}
        return {key for key in changed & now.keys() if before.get(key) == now[key]}

    def _to_watch(self, observed: Observed) -> set[Watched]:
        denied = {(denied.resource, denied.namespace) for denied in observed.denied}
        namespaces = {self.identity.namespace, *self._namespaces_of_document()}
        slices = ENDPOINT_SLICES if observed.capabilities.endpoint_slices else ENDPOINTS
        watched: set[Watched] = {(slices, namespace) for namespace in namespaces}
        if (SERVICES.label, "") in denied:
            watched |= {(SERVICES, namespace) for namespace in namespaces}
        else:
            watched.add((SERVICES, None))
        if observed.pools is not None:
            pools = POOLS if observed.load_balancer is LoadBalancer.CRD else CONFIG_MAPS
            if (pools.label, METALLB_NAMESPACE) not in denied:
                watched.add((pools, METALLB_NAMESPACE))
        return watched

    def _compose(
        self,
        document: DesiredDocument | None,
        decided: Decided | None,
        observed: Observed | None,
        outcomes: Mapping[str, Outcome],
        error: str,
    ) -> dict[str, Any]:
        view = self.view
        if decided is not None and observed is not None:
            view.statuses = assess(decided, observed, self.identity.owner, outcomes)
            view.decided, view.observed = decided, observed
        view.cluster_error = error
        now = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        since = reporting.since_of(view.statuses, self._memory.since, now)
        self._memory = replace(self._memory, since=since)
        code, description = self._document_status(decided, error)
        pending = decided.pending_removal if decided is not None else None
        seen = observed or view.observed
        view.report = reporting.compose(
            version=self._belief.version,
            code=code.number,
            description=description,
            module_version=self.identity.version,
            cluster=_cluster_section(seen, error),
            pool=reporting.pool_section(view.decided, seen) if view.decided is not None and seen is not None else {},
            statuses=view.statuses,
            since=since,
            probes={name: probed.ok for name, probed in self.prober.results.items() if name in view.statuses},
            pending_removal=(len(pending.names), pending.token) if pending is not None else None,
            warnings=tuple(str(warning) for warning in document.warnings) if document is not None else (),
        )
        return view.report

    def _document_status(self, decided: Decided | None, error: str) -> tuple[Code, str]:
        if self._refusal is not None:
            return self._refusal.code, self._refusal.description
        if decided is not None:
            return decided.code, decided.description
        if error and self._memory.document is not None:
            return Code.FAILED, f"the cluster cannot be read: {error}"
        return Code.EMPTY, "no desired properties were seen yet"

    async def _report(self, report: dict[str, Any]) -> bool:
        """Sends the difference; True when the twin has it all."""
        if self._acknowledged is None:
            if not self._twin.connected:
                return True  # away: the reconnect wakes us
            self._twin_changed = True
            return False
        report = reporting.shorten(report)
        patch = reporting.merge_patch(self._acknowledged, report)
        if not patch:
            return True
        before = self._acknowledged.get("exposures")
        try:
            await self._twin.report(patch)
        except TwinUnavailable as error:
            log.info("report not sent: %s", error)
            self._acknowledged = None
            return False
        self._acknowledged = report
        await self._announce(before if isinstance(before, Mapping) else {}, report["exposures"])
        return True

    async def _announce(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        """State changes as telemetry; losing one loses nothing, the twin has the state."""
        for name in sorted({*before, *after}):
            old, new = before.get(name) or {}, after.get(name) or {}
            if (old.get("state"), old.get("address")) == (new.get("state"), new.get("address")):
                continue
            event = {"exposure": name, "from": old.get("state"), "to": new.get("state"), "address": new.get("address")}
            try:
                await self._twin.send_event({**event, "reason": new.get("reason"), "time": self._now().isoformat()})
            except TwinUnavailable as error:
                log.debug("event not sent: %s", error)
                return

    def _pause(self, decided: Decided | None, outcomes: Mapping[str, Outcome], error: str, reported: bool) -> float:
        pause = self._resync
        if error or outcomes or not reported or self._twin_changed:
            pause = min(pause, RETRY_SECONDS)
        waiting = any(s.state in (State.PENDING, State.FAILED) for s in self.view.statuses.values())
        if waiting or (decided is not None and any(c.verb is Verb.DELETE for c in decided.plan.changes)):
            pause = min(pause, RETRY_SECONDS)
        if (due := self._nudges.due_in()) is not None:
            pause = min(pause, due)
        if decided is not None and decided.wishes.next_expiry is not None:
            pause = min(pause, max(0.05, (decided.wishes.next_expiry - self._now()).total_seconds()))
        return pause


def _nobody_asks(exposure: Exposure, address: str) -> ProbeResult:
    raise NotImplementedError("this controller was given nothing to probe with")


def _cluster_section(observed: Observed | None, error: str) -> dict[str, Any]:
    section: dict[str, Any] = {"api": error[:300] or "ok"}
    if observed is not None:
        section["version"] = observed.capabilities.version
        section["loadBalancer"] = str(observed.load_balancer)
        if observed.denied:
            section["denied"] = "; ".join(str(denied) for denied in observed.denied)[:500]
    return section
