"""Operations on scheduled jobs: create, read, list, cancel. No I/O."""

from __future__ import annotations

from typing import Any

from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.records.jobs import KEPT_SECONDS, Job, read_job
from edge_expose_local.hub.store.state import HubState

JsonObject = dict[str, Any]


def _not_found(identifier: str) -> HubError:
    return HubError(404, "JobNotFound", f"Job {identifier} not found", 404002)


def create_job(state: HubState, identifier: str, body: JsonObject) -> Job:
    """A queued job. One that waits for its start time counts as active. Raises HubError 400, 409 or 429."""
    now = state.clock()
    job = read_job(identifier, body, now)
    _forget_old(state, now)
    if identifier in state.jobs:
        raise HubError(409, "JobAlreadyExists", f"A job with ID '{identifier}' already exists.", 409002)
    active = sum(1 for item in state.jobs.values() if item.active)
    if active >= state.settings.concurrent_jobs:
        text = f"{active} of {state.settings.concurrent_jobs} concurrent jobs are active or scheduled"
        raise HubError(429, "ThrottlingMaxActiveJobCountExceeded", text, 429004, close=True)
    state.jobs[identifier] = job
    state.device_jobs[identifier] = {}
    state.mark("job", identifier)
    return job


def _forget_old(state: HubState, now: float) -> None:
    """Job history is kept for 30 days."""
    for identifier, job in list(state.jobs.items()):
        if job.ended is not None and job.ended < now - KEPT_SECONDS:
            for device in state.device_jobs.pop(identifier, {}):
                state.mark("device_job", f"{identifier}\n{device}")
            del state.jobs[identifier]
            state.mark("job", identifier)


def view(state: HubState, job: Job) -> JsonObject:
    return job.view(list(state.device_jobs.get(job.id, {}).values()))


def get_view(state: HubState, identifier: str) -> JsonObject:
    """A job that does not exist is answered too: type and status are `unknown`."""
    job = state.jobs.get(identifier)
    return {"jobId": identifier, "type": "unknown", "status": "unknown"} if job is None else view(state, job)


def cancel_job(state: HubState, identifier: str) -> JsonObject:
    """The answer says `cancelled`, the record follows when the runner comes by. Raises HubError 404 or 405."""
    job = state.jobs.get(identifier)
    if job is None:
        raise _not_found(identifier)
    if not job.active or job.status == "running":
        text = f"Job {identifier} is {job.status} and cannot be cancelled"
        raise HubError(405, "OperationNotAllowedInCurrentState", text, 405001)
    job.cancel_asked = True
    state.mark("job", identifier)
    return {**view(state, job), "status": "cancelled"}


def list_views(state: HubState, kind: str | None, status: str | None) -> list[JsonObject]:
    found = [job for job in state.jobs.values() if kind in (None, job.type) and status in (None, job.status)]
    return [view(state, job) for job in sorted(found, key=lambda job: (job.created, job.id))]
