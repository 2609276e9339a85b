"""The unmodified Azure SDKs against the hub: service side in this process, module side in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.iot.hub import IoTHubConfigurationManager, IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, ConfigurationContent, QuerySpecification, Twin, TwinProperties
from msrest.exceptions import HttpOperationError

from support.hub import RunningHub, child_environment
from support.waiting import eventually

# A module as people write it: commands come in as JSON lines on stdin, what it sees goes out as JSON lines on stdout.
MODULE = """
import json, sys
from azure.iot.device import IoTHubModuleClient, MethodResponse
def say(kind, value): print(json.dumps([kind, value]), flush=True)
client = IoTHubModuleClient.create_from_edge_environment(
    connection_retry_interval=1, sastoken_ttl=int(sys.argv[1]) if len(sys.argv) > 1 else 3600)
def state(): say("connected", client.connected)
def method(request):
    answer = {"echo": request.payload, "name": request.name}
    client.send_method_response(MethodResponse(request.request_id, 207, answer))
client.on_connection_state_change = state
client.on_background_exception = lambda error: say("background", repr(error))
client.connect()
say("twin", client.get_twin())
client.on_twin_desired_properties_patch_received = lambda patch: say("patch", patch)
client.on_method_request_received = method
client.on_message_received = lambda m: say("input", [m.input_name, m.data.decode(), m.custom_properties])
say("ready", None)
for line in sys.stdin:
    command, value = json.loads(line)
    try:
        if command == "get": say("twin", client.get_twin())
        if command == "report": client.patch_twin_reported_properties(value); say("reported", None)
        if command == "send": client.send_message_to_output(value, "out1"); say("sent", None)
    except Exception as error: say("error", repr(error) + repr(error.__cause__))
client.shutdown()
"""


class Module:
    """A module process; `wait(kind)` gives the next thing of that kind it said."""

    def __init__(self, hub: RunningHub, device: str, module: str, *arguments: str) -> None:
        environment = child_environment(**hub.device_env(device, module))
        self.process = subprocess.Popen(
            [sys.executable, "-c", MODULE, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.twin = self.wait("twin")
        self.wait("ready")

    def wait(self, kind: str) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said, value = json.loads(line)
            if said == kind:
                return value
        raise AssertionError(f"the module ended before it said {kind}")

    def tell(self, command: str, value: Any = None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, value]) + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def start(hub: RunningHub) -> Iterator[Callable[..., Module]]:
    modules: list[Module] = []

    def run(*arguments: str) -> Module:
        modules.append(Module(hub, *arguments))
        return modules[-1]

    yield run
    for module in modules:
        module.end()


def patch(registry: IoTHubRegistryManager, device: str, module: str, desired: dict[str, Any]) -> Twin:
    return registry.update_module_twin(device, module, Twin(properties=TwinProperties(desired=desired)))


def test_module_from_edge_environment_lives_a_whole_life(
    hub: RunningHub, registry: IoTHubRegistryManager, device: str, start: Callable[..., Module]
) -> None:
    registry.create_module_with_sas(device, "m", "", None, None)
    patch(registry, device, "m", {"a": {"b": 1, "c": 2}})
    module = start(device, "m")
    assert module.twin == {"desired": {"a": {"b": 1, "c": 2}, "$version": 2}, "reported": {"$version": 1}}
    patch(registry, device, "m", {"a": {"b": None}, "d": [1]})
    assert module.wait("patch") == {"a": {"b": None}, "d": [1], "$version": 3}
    registry.replace_module_twin(device, "m", {"properties": {"desired": {"e": 1}}})
    assert module.wait("patch") == {"a": None, "d": None, "e": 1, "$version": 4}
    module.tell("report", {"state": "ok"})
    module.wait("reported")
    twin = registry.get_module_twin(device, "m")
    assert twin.properties.reported["state"] == "ok"
    assert twin.connection_state == "Connected"
    request = CloudToDeviceMethod(method_name="a name", payload={"q": 1}, response_timeout_in_seconds=10)
    answer = registry.invoke_device_module_method(device, "m", request)
    assert (answer.status, answer.payload) == (207, {"echo": {"q": 1}, "name": "a name"})
    module.tell("send", "hello")
    module.wait("sent")
    eventually(lambda: len(hub.control("GET", f"/telemetry?device={device}")) == 1)
    assert hub.control("GET", f"/telemetry?device={device}")[0]["output"] == "out1"
    hub.control(
        "POST", "/input", {"device": device, "module": "m", "input": "in1", "payload": "x", "properties": {"k": "v w"}}
    )
    assert module.wait("input") == ["in1", "x", {"k": "v w"}]


def test_subscriptions_and_changes_survive_kill_9_of_the_hub(
    hub: RunningHub, registry: IoTHubRegistryManager, device: str, start: Callable[..., Module]
) -> None:
    registry.create_module_with_sas(device, "m", "", None, None)
    module = start(device, "m")
    module.tell("report", {"before": 1})
    module.wait("reported")
    patch(registry, device, "m", {"last": "word"})
    hub.kill()
    hub.restart()
    while not module.wait("connected"):
        pass
    assert registry.get_module_twin(device, "m").properties.reported["before"] == 1
    patch(registry, device, "m", {"after": True})
    while "after" not in (seen := module.wait("patch")):
        pass
    assert seen["$version"] == 3
    request = CloudToDeviceMethod(method_name="x", response_timeout_in_seconds=10)
    assert registry.invoke_device_module_method(device, "m", request).status == 207


def test_sas_renewal_keeps_the_session(
    hub: RunningHub, registry: IoTHubRegistryManager, device: str, start: Callable[..., Module]
) -> None:
    registry.create_module_with_sas(device, "m", "", None, None)
    module = start(device, "m", "123")  # renewed 120 s before its end: after 3 s
    while module.wait("connected"):
        pass
    assert module.wait("connected") is True
    patch(registry, device, "m", {"renewed": 1})
    while "renewed" not in module.wait("patch"):
        pass


def test_device_cut_off_from_the_cloud_keeps_working_on_edgehub(
    hub: RunningHub, registry: IoTHubRegistryManager, device: str, start: Callable[..., Module]
) -> None:
    registry.create_module_with_sas(device, "m", "", None, None)
    patch(registry, device, "m", {"a": 1})
    module = start(device, "m")
    hub.fault("cloud-offline", device=device)
    patch(registry, device, "m", {"a": None, "b": 2})
    module.tell("get")
    assert module.wait("twin")["desired"] == {"a": 1, "$version": 2}
    module.tell("report", {"offline": True})
    module.wait("reported")
    twin = registry.get_module_twin(device, "m")
    assert (twin.connection_state, "offline" in twin.properties.reported) == ("Disconnected", False)
    with pytest.raises(HttpOperationError) as caught:
        registry.invoke_device_module_method(device, "m", CloudToDeviceMethod(method_name="x"))
    assert caught.value.response.status_code == 404
    hub.fault("cloud-offline", device=device, on=False)
    assert module.wait("patch") == {"a": None, "b": 2, "$version": 3}
    assert registry.get_module_twin(device, "m").properties.reported["offline"] is True


def test_twin_faults_reach_the_module(
    hub: RunningHub, registry: IoTHubRegistryManager, device: str, start: Callable[..., Module]
) -> None:
    registry.create_module_with_sas(device, "m", "", None, None)
    module = start(device, "m")
    hub.fault("twin-status", status=429, device=device)
    module.tell("get")
    assert "429" in module.wait("error")
    hub.fault("empty-twin", device=device)
    module.tell("get")
    assert module.wait("twin") == {"desired": {}, "reported": {}}
    hub.fault("duplicate-patches", device=device)
    patch(registry, device, "m", {"n": 1})
    assert [module.wait("patch")["$version"] for _ in range(2)] == [2, 2]
    hub.fault("reorder-patches", device=device)
    patch(registry, device, "m", {"n": 2})
    patch(registry, device, "m", {"n": 3})
    assert {module.wait("patch")["n"] for _ in range(2)} == {2, 3}
    hub.fault("full-document", device=device)
    patch(registry, device, "m", {"x": 1})
    assert module.wait("patch") == {"n": 3, "x": 1, "$version": 5}
    hub.fault("version-back", device=device, module="m")
    module.tell("get")
    assert module.wait("twin")["desired"] == {"n": 3, "x": 1, "$version": 1}


def test_apply_and_deployments_through_the_sdk(
    registry: IoTHubRegistryManager, configurations: IoTHubConfigurationManager, device: str
) -> None:
    agent = {"properties.desired": {"schemaVersion": "1.1", "modules": {"web": {"settings": {"image": "web:1"}}}}}
    content = ConfigurationContent(modules_content={"$edgeAgent": agent, "web": {"properties.desired": {"x": 1}}})
    configurations.apply_configuration_on_edge_device(device, content)
    assert sorted(item.module_id for item in registry.get_modules(device)) == ["$edgeAgent", "$edgeHub", "web"]
    assert registry.get_module_twin(device, "web").properties.desired["x"] == 1
    from azure.iot.hub.models import Configuration

    wanted = Configuration(id=device, content=content, target_condition=f"deviceId = '{device}'", priority=1)
    made = configurations.create_configuration(wanted)
    assert made.system_metrics.results["appliedCount"] == 1
    made.priority = 2
    with pytest.raises(HttpOperationError) as caught:  # the SDK sends the etag bare
        configurations.update_configuration(made, made.etag)
    assert caught.value.response.status_code == 409
    assert configurations.update_configuration(made, f'"{made.etag}"').priority == 2
    configurations.delete_configuration(device)
    spec = QuerySpecification(query=f"SELECT deviceId FROM devices WHERE deviceId = '{device}'")
    rows = registry.query_iot_hub(spec, None, 10).items
    assert [row.device_id for row in rows] == [device]
    registry.delete_device(device)
    with pytest.raises(HttpOperationError):
        registry.get_device(device)
