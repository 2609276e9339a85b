"""Scheduled jobs: the record of a job, its part on each device, the checks of a request, and their JSON. Pure.

Sources: the developer guide "Schedule jobs on multiple devices" and "Queries for IoT Hub jobs" (Microsoft Learn),
the models of azure-iot-hub, and what the author of the Terraform provider `mwalser/iothub` measured on a real F1 hub
(its CONCEPT.md: ids, 168 hours, one active job, `queued` on creation, the answers to an unknown id).
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from edge_expose_local.hub.errors import argument_invalid
from edge_expose_local.hub.records import twin_rules
from edge_expose_local.hub.records.methods import read_method

JsonObject = dict[str, Any]
JobStatus = Literal["queued", "scheduled", "running", "completed", "failed", "cancelled"]
DeviceJobStatus = Literal["pending", "running", "completed", "failed", "canceled"]
JOB_TYPES = ("scheduleUpdateTwin", "scheduleDeviceMethod")
MAX_DELAY_SECONDS = 168 * 3600
KEPT_SECONDS = 30 * 86400
_ID = re.compile(r"[a-z0-9\-']{1,64}")


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Job:
    """`start`, `created` and `ended` are Unix times; `request` is `updateTwin` or `cloudToDeviceMethod` as sent."""

    id: str
    type: str
    condition: str
    request: JsonObject
    created: float
    start: float
    max_seconds: int | None
    status: JobStatus = "queued"
    began: float | None = None
    ended: float | None = None
    failure: str | None = None
    cancel_asked: bool = False

    @property
    def active(self) -> bool:
        return self.ended is None

    def view(self, parts: list[DeviceJob]) -> JsonObject:
        """The answer of `/jobs/v2`. The statistics appear once the devices are known."""
        view: JsonObject = {
            "jobId": self.id,
            "queryCondition": self.condition,
            "createdTime": iso(self.created),
            "startTime": iso(self.start),
            **({} if self.ended is None else {"endTime": iso(self.ended)}),
            **({} if self.max_seconds is None else {"maxExecutionTimeInSeconds": self.max_seconds}),
            "type": self.type,
            "updateTwin" if self.type == "scheduleUpdateTwin" else "cloudToDeviceMethod": self.request,
            "status": self.status,
            **({} if self.failure is None else {"failureReason": self.failure}),
        }
        if self.began is not None:
            found = [part.status for part in parts]
            view["deviceJobStatistics"] = {
                "deviceCount": len(found),
                "failedCount": found.count("failed"),
                "succeededCount": found.count("completed"),
                "runningCount": found.count("running"),
                "pendingCount": found.count("pending"),
            }
        return view

    def to_json(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def from_json(cls, data: JsonObject) -> Job:
        return cls(**data)


@dataclass(slots=True)
class DeviceJob:
    """The part of a job on one device: a document of the collection `devices.jobs`."""

    job: str
    device: str
    type: str
    created: float
    updated: float
    status: DeviceJobStatus = "pending"
    started: float | None = None
    ended: float | None = None
    response: JsonObject | None = None
    error: JsonObject | None = None

    def finish(self, status: DeviceJobStatus, now: float) -> None:
        self.status, self.ended, self.updated = status, now, now

    def view(self) -> JsonObject:
        view: JsonObject = {
            "deviceId": self.device,
            "jobId": self.job,
            "jobType": self.type,
            "status": self.status,
            **({} if self.started is None else {"startTimeUtc": iso(self.started)}),
            **({} if self.ended is None else {"endTimeUtc": iso(self.ended)}),
            "createdDateTimeUtc": iso(self.created),
            "lastUpdatedDateTimeUtc": iso(self.updated),
        }
        if self.status == "completed":
            view["outcome"] = {"deviceMethodResponse": self.response}
        if self.error is not None:
            view["error"] = self.error
        return view

    def to_json(self) -> JsonObject:
        return asdict(self)

    @classmethod
    def from_json(cls, data: JsonObject) -> DeviceJob:
        return cls(**data)


def _start(text: Any, now: float) -> float:
    if text is None or text == "":
        return now
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise argument_invalid(f"startTime {text!r} is no ISO 8601 time") from error
    start = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if start > now + MAX_DELAY_SECONDS:
        raise argument_invalid("startTime is more than 168 hours away")
    return start


def _twin_patch(body: JsonObject) -> JsonObject:
    patch = body.get("updateTwin")
    if not isinstance(patch, dict):
        raise argument_invalid("updateTwin is missing or not an object")
    if patch.get("etag") != "*":
        raise argument_invalid("updateTwin.etag must be '*': a job overwrites whatever is there")
    for section in (patch.get("tags"), (patch.get("properties") or {}).get("desired")):
        if section is not None and not isinstance(section, dict):
            raise argument_invalid("tags and properties.desired of updateTwin are objects")
        if found := twin_rules.problem(twin_rules.without_system_keys(section or {})):
            raise argument_invalid(found)
    return patch


def read_job(identifier: str, body: JsonObject, now: float) -> Job:
    """A new job from the body of a PUT. The condition is not looked at yet: a bad one lets the job fail later."""
    if not _ID.fullmatch(identifier):
        raise argument_invalid(f"job id '{identifier}' must be 1 to 64 of a-z 0-9 - '")
    if body.get("jobId", identifier) != identifier:
        raise argument_invalid("jobId in the body differs from the path")
    kind = body.get("type")
    if kind not in JOB_TYPES:
        raise argument_invalid(f"type '{kind}' is none of {', '.join(JOB_TYPES)}")
    condition = body.get("queryCondition")
    if not isinstance(condition, str) or not condition.strip():
        raise argument_invalid("queryCondition is missing; '*' means every device")
    seconds = body.get("maxExecutionTimeInSeconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int) or seconds < 0):
        raise argument_invalid("maxExecutionTimeInSeconds is not a number of seconds")
    if kind == "scheduleUpdateTwin":
        request = _twin_patch(body)
    else:
        method = body.get("cloudToDeviceMethod")
        if not isinstance(method, dict):
            raise argument_invalid("cloudToDeviceMethod is missing or not an object")
        read_method(method)
        request = method
    return Job(identifier, kind, condition, request, now, _start(body.get("startTime"), now), seconds or None)
