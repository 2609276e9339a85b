"""The fixtures for other projects, as the hub's README shows them: its own example is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edge_expose_local.hub
from edge_expose_local.control_client import ControlError
from edge_expose_local.hub.testing.process import HubProcess
from support.hub import child_environment

README = (Path(edge_expose_local.hub.__file__).parent / "README.md").read_text()


def test_the_example_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    conftest, tests = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_thermostat.py").write_text(tests)
    environment = child_environment(https_proxy="http://127.0.0.1:1", HOME=os.environ.get("HOME", "/"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_a_hub_process_starts_again_where_it_ended(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "state")
    with hub:
        hub.add_devices("d")
        hub.add_devices("e", edge=True)
        first = hub.device_connection_string("d")
        assert hub.module_environment("e", "$edgeAgent")["IOTEDGE_DEVICEID"] == "e"
        hub.fault("connack", code=3)
    with hub:
        assert hub.device_connection_string("d") == first
        assert "ModuleId=$edgeHub" in hub.device_connection_string("e", "$edgeHub")
        assert hub.call("GET", "/faults")["set"] == []
    hub.stop()


def test_a_hub_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    with HubProcess(tmp_path / "state"):
        second = HubProcess(tmp_path / "state")
        with pytest.raises(RuntimeError, match="another hub runs"):
            second.start()
        second.stop()
    with pytest.raises(ControlError, match="is not running"):
        HubProcess(tmp_path / "state").call("GET", "/status")
