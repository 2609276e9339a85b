"""Direct methods: `status`, `explain`, `topology`, `reconcile`, `probe`, `confirm`, `supportBundle`, `history`.

Bad payloads get 400 and why. What outgrows an answer is left out and counted in `more`.
"""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from edge_expose_module.controller import Controller
from edge_expose_module.state.history import newest_first
from edge_expose_module.status.explain import explain
from edge_expose_module.status.payload_limits import ANSWER_BYTES, first_that_fit, json_size
from edge_expose_module.status.probes import Ask, ask_all
from edge_expose_module.status.report import shorten
from edge_expose_module.status.topology import topology

PROBE_SECONDS: Final = 20.0
"""Whoever calls waits 30 s by default; what was found by then is the answer."""
RECONCILE_SECONDS: Final = 25.0
_LOG_LINE: Final = 4000
"""Characters: one long trace must not push all other lines out of the support bundle."""
Answer = tuple[int, dict[str, Any]]


class Methods:
    def __init__(self, controller: Controller, probe: Ask, recent_log: Callable[[], list[str]]) -> None:
        self._controller = controller
        self._probe = probe
        self._recent_log = recent_log

    async def handle(self, name: str, payload: Any) -> Answer:
        if payload in (None, ""):
            payload = {}
        if not isinstance(payload, dict):
            return 400, {"error": f"the payload of {name} is a JSON object, not {type(payload).__name__}"}
        match name:
            case "status":
                return 200, self._status()
            case "explain":
                return self._explain(payload)
            case "topology":
                return self._topology()
            case "reconcile":
                done = await self._controller.reconcile_now(RECONCILE_SECONDS)
                return (200, self._report()) if done else (504, {"error": "the pass did not end in time"})
            case "probe":
                return await self._probe_exposures(payload)
            case "confirm":
                return self._confirm(payload)
            case "supportBundle":
                return 200, self._bundle()
            case "history":
                return self._history(payload)
            case _:
                known = "status, explain, topology, reconcile, probe, confirm, supportBundle, history"
                return 404, {"error": f"there is no method {name[:80]!r}; known: {known}"}

    def _status(self) -> dict[str, Any]:
        """The report, with what the probes found: latency and when each last answered."""
        probes = {name: probed.to_json() for name, probed in sorted(self._controller.prober.results.items())}
        return {**self._report(ANSWER_BYTES - json_size(probes)), **({"probes": probes} if probes else {})}

    def _report(self, room: int = ANSWER_BYTES) -> dict[str, Any]:
        return shorten(self._controller.result.report, room, json_size)

    def _chosen(self, payload: dict[str, Any]) -> list[str] | Answer:
        """Names of exposures the payload means: all, or the one it names."""
        statuses = self._controller.result.statuses
        name = payload.get("exposure")
        if name is None:
            return sorted(statuses)
        if not isinstance(name, str):
            return 400, {"error": 'write {"exposure": "NAME"}, or leave it out for all'}
        if name not in statuses:
            return 400, {"error": f"there is no exposure {name[:80]!r}; known: {', '.join(sorted(statuses)) or 'none'}"}
        return [name]

    def _explain(self, payload: dict[str, Any]) -> Answer:
        chosen = self._chosen(payload)
        result = self._controller.result
        if isinstance(chosen, tuple):
            return chosen
        if result.plan is None or result.observed is None:
            return 200, {"exposures": {}, "cluster": result.cluster_error or "no pass was made yet"}
        plan, observed, owner = result.plan, result.observed, self._controller.identity.owner
        found = dict(
            first_that_fit((name, explain(name, result.statuses[name], plan, observed, owner)) for name in chosen)
        )
        return 200, {"exposures": found, "more": len(chosen) - len(found)}

    def _topology(self) -> Answer:
        result = self._controller.result
        if result.observed is None:
            return 200, {"services": [], "cluster": result.cluster_error or "no pass was made yet"}
        return 200, topology(result.observed, self._controller.identity.owner)

    async def _probe_exposures(self, payload: dict[str, Any]) -> Answer:
        chosen = self._chosen(payload)
        if isinstance(chosen, tuple):
            return chosen
        result = self._controller.result
        results: dict[str, Any] = {name: {"ok": False, "detail": "no external address"} for name in chosen}
        targets = {name: target for name in chosen if (target := result.target(name)) is not None}
        found = await ask_all(targets, self._probe, PROBE_SECONDS)
        return 200, {"probes": results | {name: asdict(result) for name, result in found.items()}}

    def _confirm(self, payload: dict[str, Any]) -> Answer:
        token = payload.get("token")
        pending = self._controller.result.report.get("pendingRemoval")
        if not isinstance(token, str):
            return 400, {"error": 'write {"token": "TOKEN"} with the token of pendingRemoval'}
        if pending is None or pending["token"] != token:
            return 400, {"error": "no removal waits for this token"}
        self._controller.confirm(token)
        return 200, {"confirmed": pending["count"]}

    def _history(self, payload: dict[str, Any]) -> Answer:
        """State changes, the newest first; also of exposures that are gone. The next page begins `before` the number of
        the last one."""
        name, before = payload.get("exposure"), payload.get("before")
        if name is not None and not isinstance(name, str):
            return 400, {"error": 'write {"exposure": "NAME"}, or leave it out for all'}
        if before is not None and (isinstance(before, bool) or not isinstance(before, int)):
            return 400, {"error": 'write {"before": NUMBER} with the number of the last change of the page before'}
        chosen = newest_first(self._controller.history, name, before)
        found = first_that_fit(change.to_json() for change in chosen)
        return 200, {"changes": found, "more": len(chosen) - len(found)}

    def _bundle(self) -> dict[str, Any]:
        result = self._controller.result
        observed = result.observed
        lines = [line[:_LOG_LINE] for line in self._recent_log()]
        services = sorted("/".join(key) for key in observed.services) if observed is not None else []
        kept_lines = first_that_fit(reversed(lines), ANSWER_BYTES // 3)[::-1]
        kept_services = first_that_fit(services, ANSWER_BYTES // 6)
        return {
            "report": self._report(ANSWER_BYTES // 3),
            "python": platform.python_version(),
            "time": dt.datetime.now(dt.UTC).isoformat(),
            "owner": self._controller.identity.owner,
            "namespace": self._controller.identity.namespace,
            "passes": self._controller.passes,
            "services": kept_services,
            "denied": [str(denied) for denied in observed.denied] if observed is not None else [],
            "log": kept_lines,
            "more": {"services": len(services) - len(kept_services), "log": len(lines) - len(kept_lines)},
        }
