"""One hub process for the suite that judges it with the unmodified SDKs and with plain HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from azure.iot.hub import IoTHubConfigurationManager, IoTHubRegistryManager

from support.hub import Call, RunningHub, caller, start_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("hub"))
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "hub" in request.fixturenames:
        request.getfixturevalue("hub").control("DELETE", "/fault")


@pytest.fixture
def device(hub: RunningHub) -> str:
    """A new edge device."""
    name = f"edge-{uuid.uuid4().hex[:8]}"
    hub.control("POST", "/devices", {"ids": [name]})
    return name


@pytest.fixture(scope="module")
def registry(hub: RunningHub) -> IoTHubRegistryManager:
    manager = IoTHubRegistryManager.from_connection_string(hub.connection_string)
    manager.protocol.config.connection.verify = str(hub.ca)
    return manager


@pytest.fixture(scope="module")
def configurations(hub: RunningHub) -> IoTHubConfigurationManager:
    manager = IoTHubConfigurationManager.from_connection_string(hub.connection_string)
    manager.protocol.config.connection.verify = str(hub.ca)
    return manager


@pytest.fixture
def call(hub: RunningHub) -> Call:
    return caller(hub)
