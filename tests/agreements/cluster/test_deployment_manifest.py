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

from support.cluster import ROOT
from support.container import reported, shipped_module, why_no_container
from support.hub import RunningHub, start_hub
from support.waiting import eventually

pytestmark = pytest.mark.skipif(bool(why_no_container()), reason=why_no_container())


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
    namespace = cluster.namespace()
    made = shipped_module(cluster, hub, registry, namespace, tmp_path)
    container = made.pod
    process = container.start(entry_point())
    try:
        entry = eventually(lambda: reported(registry, namespace, process, container.log).get("web"), what="a report")
        assert entry["address"] == cluster.wait_address(namespace, "web")
        for probe in ("livenessProbe", "readinessProbe"):
            url = f"http://127.0.0.1:{made.port}{container.spec[probe]['httpGet']['path']}"
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert (tmp_path / "state" / "state.json").exists()
        assert made.key not in container.log.read_text()
    finally:
        process.kill()
        process.wait(10)
