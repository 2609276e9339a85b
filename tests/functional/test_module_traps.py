"""What goes wrong between module and hub: a fault is set, the twin is edited, and the module follows all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import CloudToDeviceMethod, Twin, TwinProperties

from support.local import Local
from support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.local
WISH = {"module": "idle", "ports": ["80:8080"]}


class Device:
    """One device with our module on it, and the hub's service SDK."""

    def __init__(self, local: Local) -> None:
        self.local = local
        self.hub = IoTHubRegistryManager.from_connection_string(local.environment["IOTHUB_CONNECTION_STRING"])
        self.hub.protocol.config.connection.verify = local.environment["EDGE_EXPOSE_HUB_CA"]
        self.port = 1000

    @property
    def log(self) -> Path:
        """The module's."""
        return self.local.instance.state / "runtime" / "edge1" / "edge-expose.log"

    def edit(self, exposures: dict[str, Any]) -> int:
        twin = self.hub.update_module_twin(
            "edge1", "edge-expose", Twin(properties=TwinProperties(desired={"exposures": exposures})), "*"
        )
        return int(twin.properties.desired["$version"])

    def change(self) -> int:
        self.port += 1
        return self.edit({"web": {"ports": [f"{self.port}:8080"]}})

    def reported(self) -> dict[str, Any]:
        return dict(self.hub.get_module_twin("edge1", "edge-expose").properties.reported)

    def call(self, method: str, payload: Any) -> tuple[int, Any]:
        answer = self.hub.invoke_device_module_method(
            "edge1",
            "edge-expose",
            CloudToDeviceMethod(method_name=method, payload=payload, response_timeout_in_seconds=30),
        )
        return answer.status, answer.payload

    def service(self, path: str) -> str:
        return self.local.kubectl("-n", "edge1", "get", "svc", "web", "-o", f"jsonpath={{{path}}}")

    def followed(self, version: int, seconds: float = PATIENCE) -> None:
        def look() -> bool:
            found = self.reported()
            return found["lastDesiredVersion"] == version and found["exposures"]["web"]["state"] == "Ready"

        try:
            eventually(look, seconds, f"version {version} is reported")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-4000:]}") from None


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    local = Local(tmp_path_factory.mktemp("traps"))
    own = {"image": "edge-expose/module:1", "env": {"EDGE_EXPOSE_RESYNC_SECONDS": "3"}}
    local.deploy(
        {"web": {**WISH, "address": local.address(15)}}, {"idle": {"image": "edge-expose/echo:1"}, "edge-expose": own}
    )
    local.wait_for("web", "Ready", local.address(15))
    yield Device(local)
    local.stop()


@pytest.fixture(autouse=True)
def _clean(device: Device) -> Iterator[None]:
    yield
    device.local.instance.clear_faults()


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        pytest.param("lose-patches", {"count": 3}, id="patches are lost"),
        pytest.param("duplicate-patches", {"count": 3}, id="patches come twice"),
        pytest.param("reorder-patches", {"count": 2}, id="patches come out of order"),
        pytest.param("full-document", {"count": 3}, id="the whole document comes as a patch"),
        pytest.param("no-version", {"count": 2}, id="patches have no version"),
        pytest.param("twin-status", {"count": 2, "status": 429}, id="the twin answers 429"),
        pytest.param("twin-status", {"count": 2, "status": 500}, id="the twin answers 500"),
        pytest.param("twin-delay", {"count": 1, "seconds": 3}, id="the twin answers late"),
        pytest.param("empty-twin", {"count": 2}, id="the twin is empty while edgeHub is offline"),
        pytest.param("drop-connections", {}, id="the connection drops"),
        pytest.param("connack", {"count": 2, "code": 3}, id="the hub is not ready when we reconnect"),
        pytest.param("connack", {"count": 1, "code": 5}, id="the hub refuses our token when we reconnect"),
        pytest.param("sign-slow", {"count": 1, "seconds": 3}, id="signing is slow"),
    ],
)
def test_a_change_is_followed_although(device: Device, fault: str, options: dict[str, Any]) -> None:
    before = device.reported()["exposures"]["web"]["address"]
    device.local.instance.fault(fault, options)
    if fault in ("connack", "sign-slow"):
        device.local.instance.fault("drop-connections", {})
    device.followed(device.change())
    assert device.reported()["exposures"]["web"]["address"] == before
    assert device.service(".spec.ports[0].port") == str(device.port)


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        pytest.param("withhold-twin-reply", {"count": 2}, id="the twin is acknowledged and never answered"),
        pytest.param("forget-sessions", {}, id="the hub forgot our subscriptions"),
    ],
)
def test_a_client_that_hangs_is_made_anew(device: Device, fault: str, options: dict[str, Any]) -> None:
    device.local.instance.fault(fault, options)
    device.followed(device.change(), 100.0)  # two calls without an answer, 20 s each, come first


def test_an_older_twin_is_believed_only_when_it_stays(device: Device) -> None:
    device.local.instance.fault("version-back", {"device": "edge1", "module": "edge-expose"})
    version = device.change()
    device.followed(version)
    assert version < 10


def test_while_the_device_is_cut_off_drift_is_repaired_and_one_patch_brings_the_rest(device: Device) -> None:
    device.local.instance.fault("cloud-offline", {"device": "edge1"})
    version = device.change()
    device.local.kubectl("-n", "edge1", "patch", "svc", "web", "-p", '{"spec":{"sessionAffinity":"ClientIP"}}')
    eventually(lambda: device.service(".spec.sessionAffinity") == "None", what="drift is repaired offline")
    assert device.service(".spec.ports[0].port") == str(device.port - 1)
    device.local.instance.fault("cloud-offline", {"device": "edge1", "on": False})
    device.followed(version)


def test_a_second_client_with_our_identity_is_told_and_survived(device: Device) -> None:
    pid = int(device.local.part("module")["pid"])
    environment = dict(
        entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry
    )
    environment.pop("EDGE_EXPOSE_HTTP_ADDRESS", None)
    environment["EDGE_EXPOSE_STATE_DIR"] = str(device.local.folder / "twin")
    logs = [device.log, device.local.folder / "double.log"]

    def told() -> bool:
        return any("does another client use this module's identity" in log.read_text() for log in logs)

    with logs[1].open("wb") as words:
        double = subprocess.Popen(
            [sys.executable, "-m", "edge_expose_module"], env=environment, stdout=words, stderr=words
        )
    try:
        # Whoever loses the connection at the wrong moment waits for its deadline, and is no match meanwhile.
        eventually(told, 3 * PATIENCE, "one of the two says that there is another")
    finally:
        double.terminate()
        double.wait(PATIENCE)
    device.followed(device.change())


@pytest.mark.parametrize(
    ("method", "payload", "status", "word"),
    [
        ("status", None, 200, "exposures"),
        ("explain", {"exposure": "web"}, 200, "checks"),
        ("explain", {"exposure": "nope"}, 400, "there is no exposure"),
        ("explain", [1], 400, "JSON object"),
        ("explain", {"exposure": 7}, 400, "NAME"),
        ("history", {"exposure": 7}, 400, "NAME"),
        ("history", {"exposure": "web", "before": 1}, 200, "changes"),
        ("reconcile", {}, 200, "summary"),
        ("probe", {"exposure": "web"}, 200, "connected"),
        ("confirm", {}, 400, "token"),
        ("confirm", {"token": "x"}, 400, "no removal waits"),
        ("supportBundle", {}, 200, "log"),
        ("nonsense", {}, 404, "known"),
    ],
)
def test_a_direct_method_answers(device: Device, method: str, payload: Any, status: int, word: str) -> None:
    found, answer = device.call(method, payload)
    assert found == status, answer
    assert word in str(answer)


def test_a_change_of_state_is_sent_as_telemetry(device: Device) -> None:
    device.edit({"told": {"module": "idle", "ports": ["9000:8080"]}})

    def heard() -> list[dict[str, Any]]:
        messages = device.local.instance.hub("GET", "/telemetry")
        return [m for m in messages if m["output"] == "events" and "told" in str(m) and "Ready" in str(m)]

    eventually(heard, what="an event on output events")
    device.edit({"told": None})


def test_the_history_tells_whose_change_it_was(device: Device) -> None:
    """A document that says who wrote it, then an edit that does not, asked for over the hub."""
    change = {"by": "alice@site", "at": "2026-11-22T04:00:00.000001Z", "note": "ticket 7"}
    for name, more in (("story", {"change": change}), ("edited", {})):
        desired = {"exposures": {name: {**WISH, "type": "ClusterIP"}}, **more}
        twin = Twin(properties=TwinProperties(desired=desired))
        device.hub.update_module_twin("edge1", "edge-expose", twin, "*")
        eventually(lambda name=name: name in device.reported()["exposures"], PATIENCE, f"{name} is reported")
    code, answer = device.call("history", {"exposure": "story"})
    assert code == 200
    assert answer["changes"][-1]["change"] == change, "its first"
    _, answer = device.call("history", {"exposure": "edited"})
    assert answer["changes"][-1]["change"] == {"by": "unknown"}
    warnings = device.reported().get("warnings", [])
    assert not any("change" in warning for warning in warnings)


def test_the_support_bundle_and_the_log_hold_no_secret(device: Device) -> None:
    _, bundle = device.call("supportBundle", {})
    kubeconfig = (device.local.instance.state / "runtime" / "edge1" / "kubeconfig").read_text()
    token = next(line.split()[-1] for line in kubeconfig.splitlines() if "token:" in line)
    key = device.local.environment["IOTHUB_CONNECTION_STRING"].split("SharedAccessKey=")[1]
    log = (device.local.instance.state / "runtime" / "edge1" / "edge-expose.log").read_text()
    for secret in (token, key, "SharedAccessSignature"):
        assert secret not in str(bundle)
        assert secret not in log


def test_health_and_metrics_are_served(device: Device) -> None:
    port = device.local.part("module")["ports"]["http"]
    session = requests.Session()
    session.trust_env = False
    assert session.get(f"http://127.0.0.1:{port}/healthz", timeout=PATIENCE).status_code == 200
    assert session.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE).status_code == 200
    metrics = session.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE).text
    for name in (
        "edge_expose_pass_seconds_count",
        'edge_expose_addresses{use="used"}',
        "edge_expose_drift_repaired_total",
    ):
        assert name in metrics
    assert session.get(f"http://127.0.0.1:{port}/../etc/passwd", timeout=PATIENCE).status_code == 404


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGINT"])
def test_a_polite_end_is_exit_code_0_and_bad_settings_are_2(signal: str, device: Device, tmp_path: Path) -> None:
    import signal as signals

    environment = {
        "PATH": os.environ["PATH"],
        "IOTEDGE_IOTHUBHOSTNAME": "localhub.test",
        "IOTEDGE_DEVICEID": "edge9",
        "IOTEDGE_MODULEID": "edge-expose",
        "KUBECONFIG": device.local.environment["KUBECONFIG"],
        "EDGE_EXPOSE_STATE_DIR": str(tmp_path),
        "PYTHONPATH": device.local.environment["PYTHONPATH"],
    }
    command = [sys.executable, "-m", "edge_expose_module"]
    log = tmp_path / "module.log"
    with log.open("wb") as words:
        process = subprocess.Popen(command, env=environment, stderr=words)
    eventually(lambda: ": owner " in log.read_text(), what="it says who it is, with its handlers in place")
    process.send_signal(getattr(signals, signal))
    process.wait(PATIENCE)
    assert process.returncode == 0
    bad = subprocess.run(
        command, env={**environment, "EDGE_EXPOSE_ALLOW_PORTS": "x"}, capture_output=True, timeout=PATIENCE, check=False
    )
    assert bad.returncode == 2
    assert b"EDGE_EXPOSE_ALLOW_PORTS" in bad.stderr


def test_an_identity_that_is_deleted_and_made_again_is_signed_in_anew_and_its_first_version_is_believed(
    device: Device,
) -> None:
    for _ in range(3):
        device.change()
    device.followed(device.change())
    before = device.reported()["exposures"]["web"]["address"]
    assert int(device.hub.get_module_twin("edge1", "edge-expose").properties.desired["$version"]) > 3
    device.hub.delete_module("edge1", "edge-expose")
    device.hub.create_module_with_sas("edge1", "edge-expose", "", "", "")
    document = {
        "schemaVersion": "1.0",
        "exposures": {"web": {**WISH, "address": before}, "after": {"module": "idle", "ports": ["999:8080"]}},
    }
    twin = Twin(properties=TwinProperties(desired=document))
    version = device.hub.update_module_twin("edge1", "edge-expose", twin, "*").properties.desired["$version"]
    assert int(version) <= 2, "it counts from the beginning again"
    # Three refusals in 12 s, 5 s for the old client's end, and whatever deadline the first new connection runs into.
    device.followed(int(version), 3 * PATIENCE)
    assert device.reported()["exposures"]["web"]["address"] == before
    eventually(lambda: device.reported()["exposures"]["after"]["state"] == "Ready", what="the new exposure")
