"""Works the jobs off: queued, scheduled, running, done; ten device operations a second, the pace of an S1 hub.

The quota is documented ("Jobs device operations", IoT Hub quotas and throttling). How long a job stays `queued`
is not: a real hub takes up to a few seconds, this one takes QUEUE_SECONDS.
"""

from __future__ import annotations

import asyncio
import logging

from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.query import evaluation, parser, syntax
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.records.jobs import DeviceJob, Job
from edge_expose_local.hub.records.methods import read_method
from edge_expose_local.hub.registry import twin_service

log = logging.getLogger("edge_expose_local.hub.jobs")
QUEUE_SECONDS = 1.0
OPERATIONS_PER_SECOND = 10
TICK_SECONDS = 1 / OPERATIONS_PER_SECOND


class JobRunner:
    def __init__(self, hub: Hub, devices: DeviceApi) -> None:
        self._hub = hub
        self._state = hub.state
        self._devices = devices
        self._calls: set[asyncio.Task[None]] = set()
        self.awake = asyncio.Event()
        for parts in self._state.device_jobs.values():
            for part in parts.values():
                if part.status == "running":  # the hub ended in the middle of this call: it is made again
                    part.status = "pending"

    async def run(self) -> None:
        """Until cancelled. Sleeps while no job is active; whoever creates or cancels one sets `awake`."""
        try:
            while True:
                if not any(job.active for job in self._state.jobs.values()):
                    await self.awake.wait()
                self.awake.clear()
                self.step()
                self._hub.commit()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)

    def step(self) -> None:
        """One tick: moves every active job on, and starts at most one device operation."""
        now, budget = self._state.clock(), 1
        for job in [job for job in self._state.jobs.values() if job.active]:
            try:
                budget -= self._move(job, now, budget)
            except Exception:
                log.exception("job %s failed", job.id)  # and the other jobs go on
                job.failure = "internal error of the local hub; see its log"
                self._end(job, "failed", now)

    def _move(self, job: Job, now: float, budget: int) -> int:
        """Moves one job on; how many device operations it started."""
        if job.cancel_asked:
            self._end(job, "cancelled", now)
        if job.status == "queued" and now >= job.created + QUEUE_SECONDS:
            job.status = "scheduled"
            self._state.mark("job", job.id)
        if job.status == "scheduled" and now >= job.start:
            self._begin(job, now)
        return self._advance(job, now, budget) if job.status == "running" else 0

    def _begin(self, job: Job, now: float) -> None:
        job.status, job.began = "running", now
        self._state.mark("job", job.id)
        try:
            where = None if job.condition.strip() == "*" else parser.parse_where(job.condition)
        except syntax.QueryError as error:
            job.failure = f"SQL query parse failed due to following errors: {error}"
            self._end(job, "failed", now)
            return
        for row in self._state.twin_views(modules=False):
            if evaluation.matches(row, where):
                part = DeviceJob(job.id, row["deviceId"], job.type, job.created, now)
                self._state.device_jobs[job.id][part.device] = part
                self._mark(part)

    def _advance(self, job: Job, now: float, budget: int) -> int:
        """Starts one operation if the budget allows it; ends a job that has nothing left or no time left."""
        parts = self._state.device_jobs[job.id].values()
        waiting = next((part for part in parts if part.status == "pending"), None)
        if job.max_seconds is not None and job.began is not None and now > job.began + job.max_seconds:
            job.failure = f"the job ran longer than {job.max_seconds} seconds"
            self._end(job, "failed", now)
        elif waiting is not None and budget > 0:
            self._start(job, waiting, now)
            return 1
        elif waiting is None and not any(part.status == "running" for part in parts):
            self._end(job, "completed", now)
        return 0

    def _end(self, job: Job, status: str, now: float) -> None:
        job.status, job.ended = status, now  # type: ignore[assignment]  # the callers name one of the literals
        for part in self._state.device_jobs.get(job.id, {}).values():
            if part.status in ("pending", "running"):
                part.finish("canceled" if status == "cancelled" else "failed", now)
                self._mark(part)
        self._state.mark("job", job.id)

    def _mark(self, part: DeviceJob) -> None:
        self._state.mark("device_job", f"{part.job}\n{part.device}")

    def _start(self, job: Job, part: DeviceJob, now: float) -> None:
        part.status, part.started, part.updated = "running", now, now
        self._mark(part)
        if job.type == "scheduleUpdateTwin":
            try:
                twin_service.write_twin(self._state, TwinKey(part.device), job.request, "*", replace=False)
                part.finish("completed", now)
            except HubError as error:
                self._fail(part, error)
            return
        call = asyncio.get_running_loop().create_task(self._call(job, part))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _call(self, job: Job, part: DeviceJob) -> None:
        asked = read_method(job.request)
        try:
            status, payload = await self._devices.invoke(
                TwinKey(part.device), asked.name, asked.payload, asked.response_timeout, asked.connect_timeout
            )
        except HubError as error:
            if part.ended is None:
                self._fail(part, error)
        else:
            if part.ended is None:  # else the job ran out of time before the answer came
                part.response = {"status": status, "payload": payload}
                part.finish("completed", self._state.clock())
                self._mark(part)
        self._hub.commit()

    def _fail(self, part: DeviceJob, error: HubError) -> None:
        part.error = {"code": error.name, "description": error.explanation}
        part.finish("failed", self._state.clock())
        self._mark(part)
