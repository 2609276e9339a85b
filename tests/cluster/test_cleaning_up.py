"""Network namespaces that a killed run left behind are removed by the next one, and nobody else's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support import testbed_netns
from support.testbed_namespaces import NETNS_FOLDER
from support.testbed_netns import Namespaces, run, why_no_namespaces

pytestmark = pytest.mark.network
CODE = """
from support.testbed_netns import Namespaces
import sys, time
namespaces = Namespaces()
print(namespaces.add("a", "nameserver 10.96.0.10"), namespaces.add("b"), flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _root() -> None:
    if reason := why_no_namespaces():
        pytest.skip(reason)


def start() -> tuple[subprocess.Popen[str], list[str]]:
    tests = str(Path(testbed_netns.__file__).parents[1])
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": tests}
    process = subprocess.Popen([sys.executable, "-c", CODE], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().split()


def test_a_killed_run_is_cleared_up_and_a_living_one_is_left_alone() -> None:
    stranger = "eexffffff-stranger"
    run("ip", "netns", "add", stranger)
    killed, of_killed = start()
    living, of_living = start()
    try:
        assert all((NETNS_FOLDER / name).exists() for name in [*of_killed, *of_living])
        killed.kill()
        killed.wait(10)
        mine = Namespaces()
        mine.remove_all()
        assert not any((NETNS_FOLDER / name).exists() for name in of_killed)
        assert not any(Path("/etc/netns", name).exists() for name in of_killed)
        assert all((NETNS_FOLDER / name).exists() for name in of_living)
        assert (NETNS_FOLDER / stranger).exists()
    finally:
        for process in (killed, living):
            process.kill()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()
        testbed_netns.clear_crashed()
        run("ip", "netns", "del", stranger)
    assert not any((NETNS_FOLDER / name).exists() for name in of_living)
