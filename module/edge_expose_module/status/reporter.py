"""Tells the twin what a pass found: composes the report, sends what differs, and state changes as telemetry.

An exposure that flaps is told of now and then only, so that neither the twin nor the telemetry follows every turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from edge_expose_contract.identity import Code, State
from edge_expose_contract.merging import merge_patch
from edge_expose_module.desired.source import Reader
from edge_expose_module.desired.twin import TwinLink, TwinUnavailable
from edge_expose_module.reconcile import Decided
from edge_expose_module.state.history import Since, recorded
from edge_expose_module.state.store import Keeper
from edge_expose_module.status import report
from edge_expose_module.status.assess import Status
from edge_expose_module.status.damping import Damping
from edge_expose_module.status.pass_result import View

log = logging.getLogger(__name__)


class Teller:
    """`release` is the module's version; the report is left in `view`, whole, and in the twin as far as it fits."""

    def __init__(
        self,
        release: str,
        twin: TwinLink,
        reader: Reader,
        keeper: Keeper,
        view: View,
        now: Callable[[], datetime],
        clock: Callable[[], float],
    ) -> None:
        self._release = release
        self._twin = twin
        self._reader = reader
        self._keeper = keeper
        self._view = view
        self._now = now
        self._damping: Damping[tuple[Status, bool | None]] = Damping(clock)
        self._announced: Mapping[str, Any] | None = None
        """Exposures of the report sent last, also those that had no room in it; None before the first."""

    def due_in(self) -> float | None:
        """Seconds until a state that was held back, since its exposure flaps, may be told; None when none is."""
        return self._damping.due_in()

    async def tell(self, decided: Decided | None, probes: Mapping[str, bool]) -> bool:
        """After a pass; `decided` None when it could not decide. True when the twin has it all, or is away: then the
        reconnect makes another pass."""
        self._view.report = self._compose(decided, probes)
        return await self._send()

    async def tell_of_failure(self, error: Exception) -> None:
        """The last report, with what went wrong now."""
        text = f"a pass failed unexpectedly, the module's log has more: {type(error).__name__}"
        status = {"code": Code.FAILED.number, "description": text}
        before = self._view.report or self._reader.reported or {}
        self._view.report = {**before, "lastDesiredVersion": self._reader.version, "lastDesiredStatus": status}
        try:
            await self._send()
        except Exception:
            log.exception("nor could that be reported")

    def _compose(self, decided: Decided | None, probes: Mapping[str, bool]) -> dict[str, Any]:
        view, keeper, document = self._view, self._keeper, self._reader.document
        paced = self._paced(decided, probes)
        statuses = {name: status for name, (status, _) in paced.items()}
        since = self._recorded(decided, statuses)
        pending = decided.pending_removal if decided is not None else None
        warnings = tuple(str(warning) for warning in document.warnings) if document is not None else ()
        carried = decided.warnings if decided is not None else ()
        code, description = self._document_status(decided)
        composed = report.compose(
            version=self._reader.version,
            code=code.number,
            description=description,
            module_version=self._release,
            cluster=report.cluster_section(view.observed, view.cluster_error),
            pool=report.pool_section(view.decided, view.observed) if view.decided and view.observed else {},
            statuses=statuses,
            since=since,
            probes={name: ok for name, (_, ok) in paced.items() if ok is not None},
            pending_removal=(len(pending.names), pending.token) if pending is not None else None,
            warnings=((keeper.trouble,) if keeper.trouble else ()) + view.warnings + carried + warnings,
        )
        if view.decided is None:
            # Nothing was seen since the start. What the twin holds is the last word on the exposures, and the memory of
            # their addresses for a device that loses its disk.
            known = self._reader.reported or {}
            composed |= {key: known[key] for key in ("exposures", "summary", "pool") if known.get(key)}
            if view.outage is not None:
                composed |= report.outdated(composed["exposures"], view.outage)
        return composed

    def _paced(self, decided: Decided | None, probes: Mapping[str, bool]) -> dict[str, tuple[Status, bool | None]]:
        fresh = self._reader.causes.fresh if decided is not None else ()
        return self._damping.pace({n: (status, probes.get(n)) for n, status in self._view.statuses.items()}, fresh)

    def _recorded(self, decided: Decided | None, statuses: Mapping[str, Status]) -> Mapping[str, Since]:
        """Since when each is as it is told; that and the history are remembered."""
        keeper, causes, now = self._keeper, self._reader.causes, self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        before = keeper.memory.since
        if self._view.decided is None:
            keeper.save()  # nothing was seen since the start, so there is no news of any exposure
            return before
        since = report.since_of(statuses, before, now)
        authors = causes.authors if decided is not None else {}
        history = recorded(keeper.memory.history, before, since, authors, now)
        keeper.memory = replace(keeper.memory, since=since, history=history)
        keeper.save()
        if decided is not None:
            causes.settle({name for name, status in statuses.items() if status.state is State.PENDING})
        return since

    def _document_status(self, decided: Decided | None) -> tuple[Code, str]:
        if self._reader.refusal is not None:
            return self._reader.refusal.code, self._reader.refusal.description
        if decided is not None:
            return decided.code, decided.description
        if self._view.cluster_error and self._reader.document is not None:
            return Code.FAILED, f"the cluster cannot be read: {self._view.cluster_error}"
        return Code.EMPTY, "no desired properties were seen yet"

    async def _send(self) -> bool:
        before = self._reader.reported
        if before is None:
            return not self._twin.connected
        after = report.shorten(self._view.report)
        patch = merge_patch(before, after)
        if not patch:
            return True
        try:
            await self._twin.report(patch)
        except TwinUnavailable as error:
            log.info("report not sent: %s", error)
            self._reader.reported = None
            return False
        self._reader.reported = after
        known, whole = self._announced, self._view.report.get("exposures") or {}
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
