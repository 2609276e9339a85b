"""The shipped Deployment of the module connects as it stands: its process, on a hub and on each cluster."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from support.cluster import ROOT
from support.container import Container, account_files, reported, why_no_container
from support.hub import RunningHub, start_hub
from support.lots import own
from support.testbed_module import apply_all, shipped
from support.waiting import eventually

pytestmark = pytest.mark.skipif(bool(why_no_container()), reason=why_no_container())
CA = "/run/edge-expose-hub"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("hub"))
    yield running
    running.stop()


@pytest.fixture
def registry(hub: RunningHub) -> IoTHubRegistryManager:
    manager = IoTHubRegistryManager.from_connection_string(hub.connection_string)
    manager.protocol.config.connection.verify = str(hub.ca)
    return manager


def entry_point() -> list[str]:
    """What the shipped image starts."""
    text = (ROOT / "module" / "Dockerfile").read_text()
    found = re.search(r"^ENTRYPOINT (\[.*\])$", text, re.M)
    assert found is not None
    command: list[str] = json.loads(found[1])
    return command


def test_the_deployment_connects_straight_to_the_hub(
    cluster: Any, hub: RunningHub, registry: IoTHubRegistryManager, tmp_path: Path
) -> None:
    """The local hub adds what IoT Hub needs none of: a CA of its own, and the way to its port."""
    namespace = cluster.namespace()
    apply_all(cluster, shipped("rbac.yaml", namespace))
    hub.control("POST", "/devices", {"ids": [namespace]})
    module = registry.create_module_with_sas(namespace, "edge-expose", "", None, None)
    told = hub.device_env(namespace, "edge-expose")
    key = module.authentication.symmetric_key.primary_key
    secret = (
        f"HostName={told['IOTEDGE_IOTHUBHOSTNAME']};DeviceId={namespace};ModuleId=edge-expose;SharedAccessKey={key}"
    )
    files, kubernetes = account_files(cluster, namespace, tmp_path)
    deployment = next(item for item in shipped("module.yaml", namespace) if item["kind"] == "Deployment")
    (port,) = own().ports(1)
    more = {
        **kubernetes,
        "mqtt_proxy": told["mqtt_proxy"],
        "EdgeModuleCACertificateFile": f"{CA}/ca.pem",
        "EDGE_EXPOSE_HTTP_ADDRESS": f"127.0.0.1:{port}",  # a pod has its addresses to itself, this test has not
    }
    container = Container(deployment, tmp_path, {("edge-expose-hub", "connection-string"): secret}, files, more)
    trusted = tmp_path / "hub-ca"
    trusted.mkdir()
    (trusted / "ca.pem").write_bytes(hub.ca.read_bytes())
    container.mount(CA, trusted)
    desired = {"schemaVersion": "1.0", "exposures": {"web": {"selector": ["app=w"], "ports": ["8080:80"]}}}
    registry.update_module_twin(namespace, "edge-expose", Twin(properties=TwinProperties(desired=desired)))
    process = container.start(entry_point())
    try:
        entry = eventually(lambda: reported(registry, namespace, process, container.log).get("web"), what="a report")
        assert entry["address"] == cluster.wait_address(namespace, "web")
        for probe in ("livenessProbe", "readinessProbe"):
            url = f"http://127.0.0.1:{port}{container.spec[probe]['httpGet']['path']}"
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert (tmp_path / "state" / "state.json").exists()
        assert key not in container.log.read_text()
    finally:
        process.kill()
        process.wait(10)
