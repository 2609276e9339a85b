"""The loop: level-triggered, one pass at a time, each from the whole desired document and the whole observed cluster.

The stages of a pass:

1. `desired.source`: read the twin, or go on with the last good document when it cannot be read or believed.
2. `cluster.observer`: observe the cluster.
3. `desired.rails`: read what the owner of the device allows.
4. `reconcile`: make the plan. `allocation.rejected_addresses` learns first what the load balancer refused.
5. `services.instances`, `services.contention`: hold back the writes that this process must not make now.
6. `pass_memory`, `state.store`: remember, before the cluster is touched.
7. `services.apply`: write, then observe again.
8. `retrigger`: touch Services that wait although nothing is in their way.
9. `status.assess`, `status.reporter`: find the state of every exposure, and report what differs.

A pass that would find what the one before found is spared (`settled`). Handlers and watches only wake the loop. Nothing
that fails ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from edge_expose_contract.identity import State
from edge_expose_contract.parsing import DesiredDocument
from edge_expose_module import pass_memory
from edge_expose_module.allocation.rejected_addresses import RejectionLog, as_written
from edge_expose_module.cluster.api import GUARD_RAILS, Cluster, ClusterError
from edge_expose_module.cluster.cached_cluster import CachedCluster
from edge_expose_module.cluster.homes import Homes, stray_text
from edge_expose_module.cluster.observer import Observer
from edge_expose_module.cluster.service import Key
from edge_expose_module.cluster.state import Observed
from edge_expose_module.cluster.watches import Watches, Watching
from edge_expose_module.desired.homes import homes_of
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.desired.rails.reader import Rails, RailsReader
from edge_expose_module.desired.source import DesiredSource
from edge_expose_module.desired.twin import TwinLink
from edge_expose_module.load_balancers.detect import DEFAULT_NAMESPACE, Detector
from edge_expose_module.measures import Measures
from edge_expose_module.pass_inputs import PassInputs
from edge_expose_module.reconcile import PassPlan, reconcile
from edge_expose_module.retrigger import Retrigger
from edge_expose_module.services.apply import apply
from edge_expose_module.services.contention import Contention
from edge_expose_module.services.instances import Instance
from edge_expose_module.services.outcome import Failure, Outcome
from edge_expose_module.services.plan import Plan, Verb, gives_up
from edge_expose_module.settled import Settled, is_at_rest
from edge_expose_module.state.history import History
from edge_expose_module.state.store import Keeper, Store
from edge_expose_module.status.assess import assess, unavailable, why_unavailable
from edge_expose_module.status.pass_result import PassResult
from edge_expose_module.status.probes import Ask, Prober
from edge_expose_module.status.reporter import Reporter

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 5.0
"""Pause before another pass while something is not Ready or the cluster is away; watches usually wake us sooner."""
ASKING_SECONDS: Final = 0.5
"""The same while an exposure asks for another address than it holds, or something was written just now."""
UNREADABLE_SECONDS: Final = 60.0
"""After so long without the cluster its exposures are not called Ready any more."""
_DEBOUNCE_SECONDS: Final = 0.02
"""Between two passes, so that what comes in a burst is met together; what comes after a rest is acted on at once."""
# Container runtimes kill 10 s after SIGTERM.
_STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are: the owner id, the version reported, and the namespace IoT Edge modules live in.

    `name` is what the owner id is made of: `hub/device/module`.
    """

    owner: str
    version: str
    namespace: str
    name: str = ""


class Controller:
    def __init__(
        self,
        identity: Identity,
        cluster: Cluster,
        twin: TwinLink,
        store: Store,
        guards: Guards,
        measures: Measures,
        ask: Ask,
        *,
        resync_seconds: float = 300.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        watches: Watching | None = None,
        writers: int = 1,
        load_balancer_namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        self.identity = identity
        self.passes = 0
        self.result = PassResult()
        self._cluster = CachedCluster(cluster, clock, resync_seconds)
        self._writers = writers
        self._twin = twin
        self._keeper = Keeper(store)
        known = self._keeper.memory.identities
        if identity.name and identity.name not in known:
            self._keeper.memory = replace(self._keeper.memory, identities=(*known, identity.name))
        self._source = DesiredSource(twin, self._keeper)
        self._reporter = Reporter(identity.version, twin, self._source, self._keeper, now, clock)
        self._guards = guards
        self._measures = measures
        self._resync = resync_seconds
        self._now = now
        detector = Detector(load_balancer_namespace, self._keeper.memory.pools)
        self._observer = Observer(self._cluster, identity.owner, detector)
        self._rejections = RejectionLog(clock)
        self._rails = RailsReader(self._cluster, identity.namespace, guards)
        self._retrigger = Retrigger(self._cluster, clock)
        self._contention = Contention()
        self._settled: Settled | None = None
        self._instance = Instance(now(), self._keeper.memory.lives)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._awake = asyncio.Event()
        self._passed = asyncio.Condition()
        self._watches = watches or Watches(self._cluster, self.wake)
        self.prober = Prober(lambda: self.result.to_probe(), ask, self.wake)
        self._stopping = False
        self._passing: asyncio.Task[float] | None = None
        self._beat = time.monotonic()
        self._started: float | None = None
        """When the pass under way began; None between passes."""

    def is_alive(self, limit: float) -> bool:
        """The loop turns, and the pass under way has not lasted `limit` seconds. Callable from any thread."""
        now, started = time.monotonic(), self._started
        return now - self._beat < limit and (started is None or now - started < limit)

    @property
    def history(self) -> History:
        return self._keeper.memory.history

    # --- waking ---

    def wake(self) -> None:
        """From any thread."""
        if self._loop is not None and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._awake.set)

    def wake_for_twin(self) -> None:
        self._source.changed = True
        self.wake()

    def confirm(self, token: str) -> None:
        """Confirms the removal that the removal guard holds back under this token."""
        self._keeper.memory = replace(self._keeper.memory, confirmed=(token,))
        self.wake()

    async def reconcile_now(self, deadline: float) -> bool:
        """A whole pass that starts after this call; False when it did not end in time."""
        async with self._passed:
            self._cluster.refresh()
            goal = self.passes + 2  # one may be under way and not have seen what the caller means
            self.wake_for_twin()
            try:
                async with asyncio.timeout(deadline):
                    while self.passes < goal:
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
                self._passing = asyncio.create_task(self._guarded_pass(), name="pass")
                try:
                    pause = await self._passing
                except asyncio.CancelledError:
                    if self._stopping:
                        break  # it hangs, and whoever stops us does not wait for long
                    raise
                ended = time.monotonic()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._awake.wait()
                        await asyncio.sleep(ended + _DEBOUNCE_SECONDS - time.monotonic())
                if not self._awake.is_set():
                    self._source.changed = True  # the timer: look at the twin too, its patch may have been lost
                self._awake.clear()
        finally:
            for task in beside:
                task.cancel()
            self._watches.stop()
            await self._twin.stop()

    def stop(self, within: float = _STOP_SECONDS) -> None:
        """The pass under way may end `within` seconds; then it is given up, and the next start goes on."""
        self._stopping = True
        self._awake.set()
        if self._loop is not None and self._passing is not None:
            self._loop.call_later(within, self._passing.cancel)

    async def _heartbeat(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(1.0)

    async def _guarded_pass(self) -> float:
        start = self._started = time.monotonic()
        try:
            pause = await self.reconcile()
        except Exception as error:  # the loop must live on; the trace is in the log
            log.exception("a pass failed unexpectedly")
            self._measures.record_pass(time.monotonic() - start, "error", None, {})
            await self._report_failure(error)
            pause = RETRY_SECONDS
        self._started = None
        async with self._passed:
            self.passes += 1
            self._passed.notify_all()
        return pause

    async def reconcile(self) -> float:
        """One pass; returns the seconds after which to make another if nothing wakes us."""
        start = time.monotonic()
        await self._source.read()
        document = self._source.document
        if self._is_settled():
            self._record(start, self.result.plan, {}, "")
            return self._pause(self.result.plan, {}, "", True)
        revision = self._cluster.revision
        homes = homes_of(self._keeper.memory, document, self.identity.namespace)
        observed, error = await self._observe(homes)
        plan: PassPlan | None = None
        proposed: PassPlan | None = None
        outcomes: dict[str, Outcome] = {}
        result = self.result
        if document is not None and observed is not None:
            rails = await self._read_rails(document, observed)
            before = self._keeper.memory
            proposed = self._plan(document, observed)
            if gives_up(proposed.plan, observed) and self._cluster.refresh():
                # No address is given up for what a watch showed, or did not show.
                self._keeper.memory = before
                observed, error = await self._observe(homes)
                proposed = self._plan(document, observed) if observed is not None else None
        if document is not None and observed is not None and proposed is not None:
            plan, read_only = self._within_limits(proposed, observed, homes)
            self._keeper.save()  # before the cluster is touched: a kill at any point is safe
            if plan.plan.changes:
                outcomes = await asyncio.to_thread(apply, self._cluster, plan.plan, self._writers)
                refused = [name for name, outcome in outcomes.items() if outcome.failure is not Failure.TRANSIENT]
                self._keeper.memory = pass_memory.without_refused(self._keeper.memory, before, refused)
                homes = homes_of(self._keeper.memory, document, self.identity.namespace)
                # Where an address is asked for in place of another, the answer is part of what is remembered.
                observed_after, error = await self._observe(homes, after_writes=not plan.unproven)
                observed = observed_after or observed
                self._keeper.memory = pass_memory.after_writes(self._keeper.memory, plan, observed, self.identity.owner)
            if not read_only:
                await asyncio.to_thread(self._retrigger.touch, plan, observed, self.identity.owner)
            self._watches.ensure(
                self._cluster.take_used() | observed.load_balancer.watched | {(GUARD_RAILS, self.identity.namespace)}
            )
            result = replace(
                result,
                statuses=assess(plan, observed, self.identity.owner, outcomes),
                plan=plan,
                unchanged=frozenset(key for outcome in outcomes.values() for key in outcome.services),
                warnings=self._warnings(observed, read_only, rails),
                read_only=read_only,
            )
        result = self._with_outage(replace(result, observed=observed or result.observed, cluster_error=error))
        reported = await self._report(result, plan)
        self._record(start, plan, outcomes, error)
        self._settled = self._settle(document, plan, revision) if reported and not error else None
        return self._pause(plan, outcomes, error, reported)

    # --- a pass that can be spared ---

    def _is_settled(self) -> bool:
        source, settled = self._source, self._settled
        return (
            settled is not None
            and settled.holds(source.document, self._keeper.memory, source.reported, self._probes(), self._now())
            and self._cluster.is_unchanged(settled.revision)
        )

    def _settle(self, document: DesiredDocument | None, plan: PassPlan | None, revision: int) -> Settled | None:
        """`revision` is from before the cluster was observed."""
        result, source, memory = self.result, self._source, self._keeper.memory
        if document is None or plan is None or result.observed is None or source.refusal is not None:
            return None
        waits = (self._retrigger.due_in(), self._contention.due_in(), self._reporter.due_in())
        if any(due is not None for due in waits) or self._contention.warnings or result.read_only:
            return None
        if self._keeper.trouble or not is_at_rest(plan, result.observed, result.statuses, memory):
            return None
        return Settled(document, memory, source.reported, self._probes(), revision, plan.resolved.next_expiry)

    def _probes(self) -> dict[str, bool]:
        return {name: probed.ok for name, probed in self.prober.results.items()}

    def _record(self, start: float, plan: PassPlan | None, outcomes: Mapping[str, Outcome], error: str) -> None:
        outcome = "ok" if not error and not outcomes else "partial"
        self._measures.record_pass(time.monotonic() - start, outcome, plan, outcomes)
        latencies = {n: p.milliseconds for n, p in self.prober.results.items() if p.milliseconds is not None}
        self._measures.record_state(self.result.report, self._twin.connected, not error, latencies)

    # --- stages ---

    async def _read_rails(self, document: DesiredDocument, observed: Observed) -> Rails:
        """What the device's owner allows now; the last good ConfigMap is remembered."""
        memory = self._keeper.memory
        endpoints = any(exposure.endpoints for exposure in document.exposures.values())
        rails = await asyncio.to_thread(self._rails.read, memory.rails, observed, endpoints=endpoints)
        self._guards = rails.guards
        # Somebody may have confirmed a removal meanwhile.
        self._keeper.memory = replace(self._keeper.memory, rails=rails.known)
        return rails

    async def _observe(self, homes: Homes, *, after_writes: bool = False) -> tuple[Observed | None, str]:
        look = self._observer.after_writes if after_writes else self._observer.observe
        try:
            return await asyncio.to_thread(look, homes), ""
        except ClusterError as error:
            log.info("cluster: %s", error)
            return None, f"{type(error).__name__}: {error}"

    def _warnings(self, observed: Observed, read_only: str, rails: Rails) -> tuple[str, ...]:
        told = (read_only,) if read_only else ()
        return told + self._contention.warnings + rails.warnings + stray_text(observed.strays)

    def _with_outage(self, result: PassResult) -> PassResult:
        """A cluster that cannot be read for a minute is reported of every exposure: what was seen last is no news."""
        if not result.cluster_error:
            return replace(result, unreadable_since=None, outage=None)
        since = result.unreadable_since or self._now()
        result = replace(result, unreadable_since=since)
        if (self._now() - since).total_seconds() < UNREADABLE_SECONDS:
            return result
        outage = why_unavailable(result.cluster_error, since.strftime("%Y-%m-%dT%H:%M:%SZ"))
        return replace(result, outage=outage, statuses=unavailable(result.statuses, outage))

    async def _report(self, result: PassResult, plan: PassPlan | None) -> bool:
        """Leaves the result where methods and probes find it, then tells the twin; whether the twin has it all."""
        report = self._reporter.compose(result, plan, self._probes())
        self.result = replace(result, report=report)
        reported = await self._reporter.send(report)
        if self._instance.rival and reported and self._twin.connected:
            # It has been told; every second that this process has the connection, the other one hears nothing.
            self._twin.give_way()
        return reported

    async def _report_failure(self, error: Exception) -> None:
        report = self._reporter.compose_failure(self.result.report, error)
        self.result = replace(self.result, report=report)
        try:
            await self._reporter.send(report)
        except Exception:
            log.exception("the failed pass could not be reported either")

    def _plan(self, document: DesiredDocument, observed: Observed) -> PassPlan:
        """What to do, decided again when it shows that the load balancer refused what we asked for; remembered."""
        owner, keeper = self.identity.owner, self._keeper

        def once() -> PassPlan:
            return reconcile(
                PassInputs(
                    document=document,
                    memory=keeper.memory,
                    observed=observed,
                    guards=self._guards,
                    owner=owner,
                    own_namespace=self.identity.namespace,
                    now=self._now(),
                    confirmations=keeper.memory.confirmed,
                )
            )

        plan = once()
        before = keeper.memory.rejected
        holding = keeper.memory.last_held()
        # What is said of a Service that is made anew is said of our request.
        drifted = self._drifted(plan, Verb.PATCH)
        written = as_written(document, keeper.memory.good_exposures() if document.invalid else {})
        learned = self._rejections.learn(before, written, holding, observed, owner, drifted)
        if learned != before:
            keeper.memory = replace(keeper.memory, rejected=learned)
            plan = once()
        raw = keeper.memory.document or {}
        keeper.memory = pass_memory.after_decision(keeper.memory, raw, plan, observed, owner)
        return plan

    def _within_limits(self, plan: PassPlan, observed: Observed, homes: Homes) -> tuple[PassPlan, str]:
        """The plan with the writes that this process may make now, and its stamp on them; and why it may make none."""
        owner, version = self.identity.owner, self._source.version
        services = homes.labelled(observed, owner)
        self._instance.look(services)
        why = self._instance.why_read_only(services, version, from_disk=not self._source.has_read)
        if why:
            if plan.plan.changes:
                log.warning("%s", why)
            return replace(plan, plan=Plan()), why
        self._keeper.memory = replace(self._keeper.memory, lives=self._instance.lives)
        allowed = self._contention.allow(plan.plan, self._drifted(plan), observed)
        return replace(plan, plan=self._instance.stamped(allowed, version)), ""

    def _drifted(self, plan: PassPlan, *verbs: Verb) -> set[Key]:
        """Services that are about to be changed, by one of `verbs` if any is given, although we want of them what we
        wanted before."""
        changes = (change for change in plan.plan.changes if not verbs or change.verb in verbs)
        changed = {(change.namespace, change.name) for change in changes}
        last = self.result.plan.declared if self.result.plan is not None else ()
        before = {(service.namespace, service.name): service for service in last}
        if self.result.plan is not None:
            written = self.result.plan.plan
            # Who must be made anew was taken away by us; who could not be changed is as it was.
            ours = {(change.namespace, change.name) for change in written.changes if change.verb is Verb.DELETE}
            ours |= self.result.unchanged
            before = {key: service for key, service in before.items() if key not in ours}
        now = {(service.namespace, service.name): service for service in plan.declared}
        return {key for key in changed & now.keys() if before.get(key) == now[key]}

    def _pause(self, plan: PassPlan | None, outcomes: Mapping[str, Outcome], error: str, reported: bool) -> float:
        pause = self._resync
        if error or outcomes or not reported or self._source.changed:
            pause = min(pause, RETRY_SECONDS)
        waiting = any(s.state in (State.PENDING, State.FAILED) for s in self.result.statuses.values())
        if waiting or (plan is not None and any(c.verb is Verb.DELETE for c in plan.plan.changes)):
            pause = min(pause, RETRY_SECONDS)
        if plan is not None and (plan.unproven or (waiting and plan.plan.changes)):
            # An address is asked for: a refusal is to be answered soon, and may be an Event alone that wakes nobody.
            pause = min(pause, ASKING_SECONDS)
        for due in (self._retrigger.due_in(), self._contention.due_in(), self._reporter.due_in()):
            pause = pause if due is None else min(pause, due)
        if plan is not None and plan.resolved.next_expiry is not None:
            pause = min(pause, max(0.05, (plan.resolved.next_expiry - self._now()).total_seconds()))
        return pause
