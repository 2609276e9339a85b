"""Composes the report of a pass, sends to the twin what differs, and sends state changes as telemetry.

An exposure that flaps is reported only now and then, so that neither the twin nor the telemetry follows every turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from edge_expose_contract.identity import Code, State
from edge_expose_contract.merging import merge_patch
from edge_expose_module.desired.source import DesiredSource
from edge_expose_module.desired.twin import TwinLink, TwinUnavailable
from edge_expose_module.reconcile import PassPlan
from edge_expose_module.state.history import Since, recorded
from edge_expose_module.state.store import Keeper
from edge_expose_module.status import report
from edge_expose_module.status.assess import Status
from edge_expose_module.status.damping import Damping
from edge_expose_module.status.pass_result import PassResult

log = logging.getLogger(__name__)


class Reporter:
    """`release` is the module's version. A report is composed whole, and sent as far as it fits into the twin."""

    def __init__(
        self,
        release: str,
        twin: TwinLink,
        source: DesiredSource,
        keeper: Keeper,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._release = release
        self._twin = twin
        self._source = source
        self._keeper = keeper
        self._now = now
        self._damping: Damping[tuple[Status, bool | None]] = Damping(clock)
        self._announced: Mapping[str, Any] | None = None
        """Exposures of the report sent last, also those that had no room in it; None before the first."""

    def due_in(self) -> float | None:
        """Seconds until a state that was held back, since its exposure flaps, may be reported; None when none is."""
        return self._damping.due_in()

    def compose(self, result: PassResult, plan: PassPlan | None, probes: Mapping[str, bool]) -> dict[str, Any]:
        """The report of a pass; `plan` is None when the pass could not make one. The states are remembered."""
        keeper, document = self._keeper, self._source.document
        paced = self._paced(result, plan, probes)
        statuses = {name: status for name, (status, _) in paced.items()}
        since = self._recorded(result, plan, statuses)
        pending = plan.pending_removal if plan is not None else None
        warnings = tuple(str(warning) for warning in document.warnings) if document is not None else ()
        carried = plan.warnings if plan is not None else ()
        code, description = self._document_status(result, plan)
        composed = report.compose(
            version=self._source.version,
            code=code.number,
            description=description,
            module_version=self._release,
            cluster=report.cluster_section(result.observed, result.cluster_error),
            pool=report.pool_section(result.plan, result.observed) if result.plan and result.observed else {},
            statuses=statuses,
            since=since,
            probes={name: ok for name, (_, ok) in paced.items() if ok is not None},
            pending_removal=(len(pending.names), pending.token) if pending is not None else None,
            warnings=((keeper.trouble,) if keeper.trouble else ()) + result.warnings + carried + warnings,
        )
        if result.plan is None:
            # Nothing was seen since the start. What the twin holds is the last word on the exposures, and the memory of
            # their addresses for a device that loses its disk.
            known = self._source.reported or {}
            composed |= {key: known[key] for key in ("exposures", "summary", "pool") if known.get(key)}
            if result.outage is not None:
                composed |= report.outdated(composed["exposures"], result.outage)
        return composed

    def compose_failure(self, last: Mapping[str, Any], error: Exception) -> dict[str, Any]:
        """The last report, with what went wrong now."""
        text = f"a pass failed unexpectedly, the module's log has more: {type(error).__name__}"
        status = {"code": Code.FAILED.number, "description": text}
        before = last or self._source.reported or {}
        return {**before, "lastDesiredVersion": self._source.version, "lastDesiredStatus": status}

    def _paced(
        self, result: PassResult, plan: PassPlan | None, probes: Mapping[str, bool]
    ) -> dict[str, tuple[Status, bool | None]]:
        fresh = self._source.causes.fresh if plan is not None else ()
        return self._damping.pace({n: (status, probes.get(n)) for n, status in result.statuses.items()}, fresh)

    def _recorded(
        self, result: PassResult, plan: PassPlan | None, statuses: Mapping[str, Status]
    ) -> Mapping[str, Since]:
        """Since when each is as it is reported; that and the history are remembered."""
        keeper, causes, now = self._keeper, self._source.causes, self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        before = keeper.memory.since
        if result.plan is None:
            keeper.save()  # nothing was seen since the start, so there is no news of any exposure
            return before
        since = report.since_of(statuses, before, now)
        authors = causes.authors if plan is not None else {}
        redeclared = causes.redeclared if plan is not None else ()
        history = recorded(keeper.memory.history, before, since, authors, now, redeclared)
        keeper.memory = replace(keeper.memory, since=since, history=history)
        keeper.save()
        if plan is not None:
            causes.settle({name for name, status in statuses.items() if status.state is State.PENDING})
        return since

    def _document_status(self, result: PassResult, plan: PassPlan | None) -> tuple[Code, str]:
        if self._source.refusal is not None:
            return self._source.refusal.code, self._source.refusal.description
        if plan is not None:
            return plan.code, plan.description
        if result.cluster_error and self._source.document is not None:
            return Code.FAILED, f"the cluster cannot be read: {result.cluster_error}"
        return Code.EMPTY, "no desired properties were seen yet"

    async def send(self, composed: Mapping[str, Any]) -> bool:
        """Sends what differs; True when the twin has it all, or is away: then the reconnect makes another pass."""
        before = self._source.reported
        if before is None:
            return not self._twin.connected
        after = report.shorten(composed)
        patch = merge_patch(before, after)
        if not patch:
            return True
        try:
            await self._twin.report(patch)
        except TwinUnavailable as error:
            log.info("report not sent: %s", error)
            self._source.reported = None
            return False
        self._source.reported = after
        known, whole = self._announced, composed.get("exposures") or {}
        if known is None:
            known = found if isinstance(found := before.get("exposures"), Mapping) else {}
        no_room = whole.keys() - known.keys() if self._announced is None and before.get("shortened") else frozenset()
        await self._announce(known, {name: entry for name, entry in whole.items() if name not in no_room})
        self._announced = whole
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
