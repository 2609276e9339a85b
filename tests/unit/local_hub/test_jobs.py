"""Scheduled jobs on the hub's state and a clock of the test's own: what is refused, the pace, cancelling, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_expose_local.hub.device_api.links import Links
from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.jobs import job_service
from edge_expose_local.hub.jobs.runner import QUEUE_SECONDS, TICK_SECONDS, JobRunner
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.registry import identity_service

TWIN = {"type": "scheduleUpdateTwin", "queryCondition": "*", "updateTwin": {"etag": "*", "tags": {"a": 1}}}
METHOD = {
    "type": "scheduleDeviceMethod",
    "queryCondition": "*",
    "cloudToDeviceMethod": {"methodName": "ping", "payload": None, "responseTimeoutInSeconds": 5},
}
START = 1_800_000_000.0


class World:
    """A hub whose clock stands still until `pass_time` moves it, one tick of the runner at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = START
        self.open()

    def open(self) -> None:
        self.hub = Hub.open(self.folder, "127.0.0.1")
        self.hub.state.clock = lambda: self.now
        self.runner = JobRunner(self.hub, DeviceApi(self.hub, Links()))

    def restart(self) -> None:
        self.hub.commit()
        self.hub.store.close()
        self.open()

    def devices(self, *names: str) -> None:
        for name in names:
            identity_service.create_identity(self.hub.state, TwinKey(name), {})

    def create(self, identifier: str = "job-1", **body: Any) -> None:
        job_service.create_job(self.hub.state, identifier, {**TWIN, **body})

    def job(self, identifier: str = "job-1") -> dict[str, Any]:
        return job_service.get_view(self.hub.state, identifier)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += TICK_SECONDS
            self.runner.step()

    def queue_time(self) -> None:
        self.now += QUEUE_SECONDS
        self.runner.step()

    def tagged(self) -> int:
        return sum(1 for twin in self.hub.state.twins.values() if twin.tags == {"a": 1})


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.hub.store.close()


REFUSED: dict[str, tuple[str, dict[str, Any], tuple[int, str]]] = {
    "an id in capitals": ("Job", {}, (400, "ArgumentInvalid")),
    "an id of 65 characters": ("j" * 65, {}, (400, "ArgumentInvalid")),
    "another id in the body": ("job-1", {"jobId": "job-2"}, (400, "ArgumentInvalid")),
    "an unknown type": ("job-1", {"type": "reboot"}, (400, "ArgumentInvalid")),
    "no condition": ("job-1", {"queryCondition": ""}, (400, "ArgumentInvalid")),
    "a start after more than 168 hours": ("job-1", {"startTime": "2027-01-23T00:00:00Z"}, (400, "ArgumentInvalid")),
    "a start that is no time": ("job-1", {"startTime": "soon"}, (400, "ArgumentInvalid")),
    "no patch": ("job-1", {"updateTwin": None}, (400, "ArgumentInvalid")),
    "a patch with an etag": ("job-1", {"updateTwin": {"etag": "AAAAAAAAAAE="}}, (400, "ArgumentInvalid")),
    "a patch with a forbidden key": (
        "job-1",
        {"updateTwin": {"etag": "*", "tags": {"a.b": 1}}},
        (400, "ArgumentInvalid"),
    ),
    "a method without a name": (
        "job-1",
        {**METHOD, "cloudToDeviceMethod": {"payload": 1}},
        (400, "ArgumentInvalid"),
    ),
}


@pytest.mark.parametrize(("identifier", "body", "refusal"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_jobs(world: World, identifier: str, body: dict[str, Any], refusal: tuple[int, str]) -> None:
    with pytest.raises(HubError) as caught:
        world.create(identifier, **body)
    assert (caught.value.status, caught.value.name) == refusal
    assert world.job(identifier)["status"] == "unknown"


def test_a_job_goes_from_queued_to_completed_at_ten_devices_a_second(world: World) -> None:
    world.devices(*(f"d{number:02}" for number in range(25)))
    world.create(maxExecutionTimeInSeconds=60)
    assert world.job()["status"] == "queued"
    assert "deviceJobStatistics" not in world.job()
    world.tick()
    assert (world.job()["status"], world.tagged()) == ("queued", 0)
    world.queue_time()
    assert (world.job()["status"], world.tagged()) == ("running", 1)
    world.tick(9)
    assert world.tagged() == 10  # a second after the first
    statistics = world.job()["deviceJobStatistics"]
    assert statistics == {
        "deviceCount": 25, "failedCount": 0, "succeededCount": 10, "runningCount": 0, "pendingCount": 15,
    }  # fmt: skip
    world.tick(16)
    done = world.job()
    assert (done["status"], world.tagged()) == ("completed", 25)
    assert done["endTime"] > done["startTime"]
    assert {"jobId", "queryCondition", "createdTime", "type", "updateTwin", "maxExecutionTimeInSeconds"} <= set(done)


def test_one_job_at_a_time_unless_the_hub_is_larger(world: World) -> None:
    world.create("job-1", startTime="2027-01-16T00:00:00Z")
    for identifier, name in (("job-1", "JobAlreadyExists"), ("job-2", "ThrottlingMaxActiveJobCountExceeded")):
        with pytest.raises(HubError) as caught:
            world.create(identifier)
        assert caught.value.name == name
    world.hub.state.settings.concurrent_jobs = 5
    world.create("job-2")
    assert [job["jobId"] for job in job_service.list_views(world.hub.state, None, None)] == ["job-1", "job-2"]
    assert job_service.list_views(world.hub.state, "scheduleDeviceMethod", None) == []
    assert len(job_service.list_views(world.hub.state, "scheduleUpdateTwin", "queued")) == 2


def test_two_jobs_share_the_pace_of_the_hub(world: World) -> None:
    world.hub.state.settings.concurrent_jobs = 2
    world.devices("a", "b")
    world.create("job-1")
    world.create("job-2")
    world.queue_time()
    assert world.job("job-1")["deviceJobStatistics"]["succeededCount"] == 1
    assert world.job("job-2")["deviceJobStatistics"]["succeededCount"] == 0
    world.tick(5)
    assert {world.job(name)["status"] for name in ("job-1", "job-2")} == {"completed"}


def test_a_scheduled_job_waits_for_its_time_and_can_be_cancelled(world: World) -> None:
    world.devices("a")
    world.create(startTime="2027-01-15T08:01:00Z")  # the clock says 08:00
    world.queue_time()
    assert world.job()["status"] == "scheduled"
    assert job_service.cancel_job(world.hub.state, "job-1")["status"] == "cancelled"
    assert world.job()["status"] == "scheduled"  # the record lags, as in the service
    world.tick()
    assert world.job()["status"] == "cancelled"
    world.now += 3600
    world.tick(3)
    assert (world.job()["status"], world.tagged()) == ("cancelled", 0)


def test_a_running_or_finished_job_cannot_be_cancelled_and_an_unknown_one_is_not_found(world: World) -> None:
    world.devices("a", "b")
    world.create()
    world.queue_time()
    for _ in range(2):
        with pytest.raises(HubError) as caught:
            job_service.cancel_job(world.hub.state, "job-1")
        assert (caught.value.status, caught.value.name) == (405, "OperationNotAllowedInCurrentState")
        world.tick(5)
    with pytest.raises(HubError) as missing:
        job_service.cancel_job(world.hub.state, "nothing")
    assert (missing.value.status, missing.value.name) == (404, "JobNotFound")


@pytest.mark.parametrize("condition", ["SELECT * FROM devices", "tags.a ==", "("])
def test_a_condition_that_is_not_understood_fails_the_job_later(world: World, condition: str) -> None:
    world.devices("a")
    world.create(queryCondition=condition)
    assert world.job()["status"] == "queued"
    world.queue_time()
    assert world.job()["status"] == "failed"
    assert "query parse failed" in world.job()["failureReason"]
    assert world.tagged() == 0


def test_only_the_devices_of_the_condition_and_each_outcome_in_devices_jobs(world: World) -> None:
    world.devices("a", "b", "c")
    world.create(queryCondition="DeviceId IN ['a', 'c']")
    world.queue_time()
    world.tick(5)
    rows = list(world.hub.state.device_job_views())
    assert [(row["deviceId"], row["jobId"], row["jobType"], row["status"]) for row in rows] == [
        ("a", "job-1", "scheduleUpdateTwin", "completed"),
        ("c", "job-1", "scheduleUpdateTwin", "completed"),
    ]
    assert rows[0]["outcome"] == {"deviceMethodResponse": None}
    assert rows[0]["endTimeUtc"] >= rows[0]["startTimeUtc"] >= rows[0]["createdDateTimeUtc"]


def test_a_job_of_no_devices_completes(world: World) -> None:
    world.create(queryCondition="tags.site = 'nowhere'")
    world.queue_time()
    assert world.job()["status"] == "completed"
    assert world.job()["deviceJobStatistics"]["deviceCount"] == 0


def test_a_device_whose_twin_refuses_the_patch_fails_and_the_others_go_on(world: World) -> None:
    world.devices("a", "b")
    world.hub.state.twins[TwinKey("a")].tags = {f"k{number}": "x" * 4000 for number in range(2)}
    world.create(updateTwin={"etag": "*", "tags": {"more": "x" * 1000}})
    world.queue_time()
    world.tick(5)
    assert world.job()["status"] == "completed"
    assert world.job()["deviceJobStatistics"]["failedCount"] == 1
    failed = next(row for row in world.hub.state.device_job_views() if row["deviceId"] == "a")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "ArgumentInvalid")


def test_a_job_that_runs_out_of_time_fails_with_what_is_left(world: World) -> None:
    world.devices("a", "b", "c")
    world.create(maxExecutionTimeInSeconds=1)
    world.queue_time()
    world.now += 2
    world.tick()
    job = world.job()
    assert (job["status"], job["deviceJobStatistics"]["failedCount"]) == ("failed", 2)
    assert "1 seconds" in job["failureReason"]


def test_a_method_on_a_device_that_is_not_online_fails_on_that_device_only(world: World) -> None:
    async def work() -> None:
        world.devices("a")
        job_service.create_job(world.hub.state, "job-1", METHOD)
        world.queue_time()
        await asyncio.sleep(0)
        await asyncio.gather(*world.runner._calls)
        world.tick()

    asyncio.run(work())
    assert world.job()["status"] == "completed"
    assert world.job()["deviceJobStatistics"]["failedCount"] == 1
    assert next(iter(world.hub.state.device_job_views()))["error"]["code"] == "DeviceNotOnline"


def test_a_job_survives_a_restart_in_its_middle(world: World) -> None:
    world.devices("a", "b", "c")
    world.create()
    world.queue_time()
    assert world.tagged() == 1
    world.restart()
    assert world.job()["deviceJobStatistics"]["succeededCount"] == 1
    world.tick(5)
    assert (world.job()["status"], world.tagged()) == ("completed", 3)


def test_a_job_that_trips_over_a_broken_record_fails_alone(world: World) -> None:
    world.hub.state.settings.concurrent_jobs = 2
    world.devices("a")
    world.create("broken", queryCondition="deviceId = 'a'")
    world.create("sound", queryCondition="deviceId = 'a'")
    del world.hub.state.device_jobs["broken"]
    world.queue_time()
    world.hub.state.device_jobs["broken"] = {}
    world.tick(4)
    assert (world.job("broken")["status"], world.job("sound")["status"]) == ("failed", "completed")


def test_history_is_kept_for_thirty_days(world: World) -> None:
    world.devices("a")
    world.create("old")
    world.queue_time()
    world.tick(3)
    world.now += 29 * 86400
    world.create("young")
    assert world.job("old")["status"] == "completed"
    world.queue_time()
    world.tick(3)
    world.now += 2 * 86400
    world.create("new")
    world.restart()
    assert [world.job(name)["status"] for name in ("old", "young", "new")] == ["unknown", "completed", "queued"]
    assert {row["jobId"] for row in world.hub.state.device_job_views()} == {"young"}
