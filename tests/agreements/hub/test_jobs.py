"""Jobs by the unmodified IoTHubJobManager, and by the plain calls that az and the Node.js SDK make."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.iot.device import IoTHubDeviceClient, MethodResponse
from azure.iot.hub import IoTHubJobManager, IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, JobRequest, QuerySpecification, Twin, TwinProperties
from msrest.exceptions import DeserializationError, HttpOperationError

from support.hub import Call, RunningHub, start_hub
from support.waiting import PATIENCE, eventually


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub of its own: one job at a time is a rule of the whole hub."""
    running = start_hub(tmp_path_factory.mktemp("jobs-hub"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def jobs(hub: RunningHub) -> IoTHubJobManager:
    manager = IoTHubJobManager.from_connection_string(hub.connection_string)
    manager.protocol.config.connection.verify = str(hub.ca)
    return manager


def job_id() -> str:
    return f"job-{uuid.uuid4()}"


def update(condition: str, **more: Any) -> JobRequest:
    patch = Twin(etag="*", tags={"jobbed": True}, properties=TwinProperties(desired={"from_job": 1}))
    return JobRequest(type="scheduleUpdateTwin", update_twin=patch, query_condition=condition, **more)


def finished(jobs: IoTHubJobManager, name: str) -> Any:
    def look() -> Any:
        job = jobs.get_scheduled_job(name)
        return job if job.status in ("completed", "failed", "cancelled") else None

    return eventually(look)


def test_a_twin_job_of_the_python_sdk(
    hub: RunningHub, jobs: IoTHubJobManager, registry: IoTHubRegistryManager, device: str
) -> None:
    hub.control("POST", "/devices", {"ids": [f"{device}-b"]})
    name = job_id()
    condition = f"deviceId in ['{device}','{device}-b']"
    made = jobs.create_scheduled_job(name, update(condition, max_execution_time_in_seconds=300))
    assert (made.job_id, made.status, made.query_condition) == (name, "queued", condition)
    done = finished(jobs, name)
    assert (done.status, done.type) == ("completed", "scheduleUpdateTwin")
    assert done.device_job_statistics.succeeded_count == 2
    assert done.update_twin.tags == {"jobbed": True}
    for item in (device, f"{device}-b"):
        twin = registry.get_twin(item)
        assert (twin.tags, twin.properties.desired["from_job"]) == ({"jobbed": True}, 1)
    spec = QuerySpecification(query=f"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '{name}'")
    answer = registry.query_iot_hub(spec, None, 10)
    assert answer.type == "DeviceJob"
    assert sorted(row.device_id for row in answer.items) == [device, f"{device}-b"]
    assert {row.additional_properties["jobType"] for row in answer.items} == {"scheduleUpdateTwin"}


@pytest.fixture
def connect(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], IoTHubDeviceClient]]:
    """A leaf device as people write it, reached through the port mapper."""
    monkeypatch.setenv("mqtt_proxy", f"http://127.0.0.1:{hub.ports['proxy']}")
    monkeypatch.setenv("no_proxy", "")
    clients: list[IoTHubDeviceClient] = []

    def run(device: str) -> IoTHubDeviceClient:
        client = IoTHubDeviceClient.create_from_connection_string(
            hub.device_connection_string(device), server_verification_cert=hub.ca.read_text()
        )
        client.connect()
        clients.append(client)
        return client

    yield run
    for client in clients:
        client.shutdown()


def test_a_method_job_reaches_devices_and_keeps_their_answers(
    hub: RunningHub,
    jobs: IoTHubJobManager,
    call: Call,
    device: str,
    connect: Callable[[str], IoTHubDeviceClient],
) -> None:
    leaf, away = f"{device}-leaf", f"{device}-away"
    hub.control("POST", "/devices", {"ids": [leaf, away], "edge": False})
    client = connect(leaf)

    def answer(request: Any) -> None:
        client.send_method_response(MethodResponse(request.request_id, 207, {"echo": request.payload}))

    client.on_method_request_received = answer
    name = job_id()
    method = CloudToDeviceMethod(method_name="lockDoor", payload={"n": 1}, response_timeout_in_seconds=10)
    condition = f"deviceId = '{leaf}' OR deviceId = '{away}'"
    request = JobRequest(type="scheduleDeviceMethod", cloud_to_device_method=method, query_condition=condition)
    jobs.create_scheduled_job(name, request)
    done = finished(jobs, name)
    counts = done.device_job_statistics
    assert (done.status, counts.succeeded_count, counts.failed_count) == ("completed", 1, 1)
    rows = call("POST", "/devices/query", {"query": f"SELECT * FROM devices.jobs WHERE jobId = '{name}'"}).json()
    found = {row["deviceId"]: row for row in rows}
    assert found[leaf]["outcome"]["deviceMethodResponse"] == {"status": 207, "payload": {"echo": {"n": 1}}}
    assert (found[away]["status"], found[away]["error"]["code"]) == ("failed", "DeviceNotOnline")


def test_one_job_at_a_time_cancelling_and_unknown_jobs(jobs: IoTHubJobManager, device: str) -> None:
    name = job_id()
    later = datetime.now(UTC) + timedelta(hours=2)
    jobs.create_scheduled_job(name, update(f"deviceId = '{device}'", start_time=later))
    eventually(lambda: jobs.get_scheduled_job(name).status == "scheduled")
    with pytest.raises(HttpOperationError) as second:
        jobs.create_scheduled_job(job_id(), update("*"))
    assert second.value.response.status_code == 429
    assert second.value.response.headers["iothub-errorcode"] == "ThrottlingMaxActiveJobCountExceeded"
    with pytest.raises(HttpOperationError) as again:
        jobs.create_scheduled_job(name, update("*"))
    assert again.value.response.status_code == 409
    assert jobs.cancel_scheduled_job(name).status == "cancelled"
    assert finished(jobs, name).status == "cancelled"
    with pytest.raises(HttpOperationError) as over:
        jobs.cancel_scheduled_job(name)
    assert over.value.response.status_code == 405
    unknown = jobs.get_scheduled_job("nothing")
    assert (unknown.type, unknown.status) == ("unknown", "unknown")


def test_jobs_are_listed_in_pages_as_az_and_node_ask_for_them(jobs: IoTHubJobManager, call: Call, device: str) -> None:
    for _ in range(3):
        name = job_id()
        jobs.create_scheduled_job(name, update(f"deviceId = '{device}'"))
        finished(jobs, name)
    found: list[str] = []
    token: dict[str, str] = {}
    while True:
        path = "/jobs/v2/query?jobType=scheduleUpdateTwin&jobStatus=completed"
        answer = call("GET", path, x_ms_max_item_count="2", **token)
        assert answer.headers["x-ms-item-type"] == "JobResponse"
        found += [job["jobId"] for job in answer.json()]
        if "x-ms-continuation" not in answer.headers:
            break
        token = {"x_ms_continuation": answer.headers["x-ms-continuation"]}
    assert len(found) == len(set(found)) >= 3
    with pytest.raises(
        DeserializationError
    ):  # azure-iot-hub 2.7.0 expects an object here, and the service sends a list
        jobs.query_scheduled_jobs("scheduleUpdateTwin", "completed")
    assert call("GET", "/jobs").json() == []
    assert call("GET", "/jobs/nothing").status_code == 404
    assert call("POST", "/jobs/create", {"type": "export"}).status_code == 501


def test_a_job_goes_on_after_kill_9(hub: RunningHub, jobs: IoTHubJobManager, call: Call) -> None:
    names = [f"many-{number:02}" for number in range(25)]
    hub.control("POST", "/devices", {"ids": names, "edge": False})
    name = job_id()
    jobs.create_scheduled_job(name, update("startswith(deviceId, 'many-')"))

    def begun() -> bool:
        counts = jobs.get_scheduled_job(name).device_job_statistics
        return counts is not None and counts.succeeded_count > 0

    eventually(begun)
    begun_at = time.monotonic()
    hub.kill()
    hub.restart()
    done = finished(jobs, name)
    assert done.device_job_statistics.succeeded_count == 25
    assert time.monotonic() - begun_at < PATIENCE
    rows = call("POST", "/devices/query", {"query": "SELECT deviceId FROM devices WHERE tags.jobbed = true"}).json()
    assert set(names) <= {row["deviceId"] for row in rows}
