"""pytest fixtures: `pytest_plugins = ["edge_expose_local.hub.testing.plugin"]` in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge_expose_local.hub.testing.process import HubProcess


@pytest.fixture(scope="session")
def iot_hub_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    """One hub for the whole run; use `iot_hub` in tests."""
    with HubProcess(tmp_path_factory.mktemp("iot-hub") / "state") as hub:
        yield hub


@pytest.fixture
def iot_hub(iot_hub_process: HubProcess) -> Iterator[HubProcess]:
    """The hub of this run, without the faults of other tests. Its devices stay: give each test names of its own."""
    iot_hub_process.clear_faults()
    yield iot_hub_process
    iot_hub_process.clear_faults()


@pytest.fixture
def iot_hub_environment(iot_hub: HubProcess, monkeypatch: pytest.MonkeyPatch) -> HubProcess:
    """The same hub, with the environment of this process set so that unmodified SDKs reach it."""
    for name, value in iot_hub.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "NO_PROXY", "MQTT_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return iot_hub
