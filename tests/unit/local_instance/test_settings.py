"""What `local up` takes: checked before anything is stored or started."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from edge_expose_local import settings, supervisor
from edge_expose_local.instance import Instance, InstanceError
from edge_expose_local.settings import BadSettings, LocalSettings, PortTaken

REFUSED = [
    ({"address": "::1"}, ("--address ::1", "IPv4", "127.0.0.1")),
    ({"pool": "banana"}, ("--pool banana", "A-B or a CIDR", settings.DEFAULT_POOL)),
    ({"pool": "127.77.0.10"}, ("--pool 127.77.0.10", "A-B or a CIDR")),
    ({"pool": "127.77.0.20-127.77.0.10"}, ("is after the end",)),
    ({"pool": "127.77.0.20-127.77.0.10", "profile": "1.20"}, ("holds no address",)),
    ({"pool": "10.0.0.1-10.0.0.5"}, ("--pool 10.0.0.1-10.0.0.5 is not loopback", "--allow-non-loopback")),
    ({"pool": "127.77.0.1-127.77.0.5,10.0.0.0/24"}, ("is not loopback",)),
    ({"service_cidr": "nope"}, ("--service-cidr nope",)),
    ({"service_cidr": "10.96.0.0/16"}, ("--service-cidr 10.96.0.0/16 is not loopback",)),
    ({"service_cidr": "fd00::/112"}, ("--service-cidr fd00::/112",)),
    ({"service_cidr": "127.77.0.0/16"}, ("overlaps --service-cidr 127.77.0.0/16",)),
    ({"https_port": 99999}, ("--https-port 99999", "1 to 65535")),
    ({"mqtt_port": -1}, ("--mqtt-port -1",)),
    ({"https_port": 9443, "kube_port": 9443}, ("--kube-port 9443", "--https-port")),
]


@pytest.mark.parametrize(("given", "told"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_cannot_be_is_refused_with_value_and_rule_and_nothing_is_stored(
    given: dict[str, object], told: tuple[str, ...], tmp_path: Path
) -> None:
    target = Instance(tmp_path / "s")
    with pytest.raises(BadSettings) as caught:
        target.prepare(replace(LocalSettings(), **given))  # type: ignore[arg-type]
    for part in told:
        assert part in str(caught.value)
    assert settings.load(target.state) is None


def test_addresses_beyond_this_machine_are_taken_with_the_word_for_it() -> None:
    LocalSettings(pool="10.0.0.1-10.0.0.5", service_cidr="10.96.0.0/16", allow_non_loopback=True).check()


def test_a_port_in_use_is_told_with_its_number_and_nothing_is_stored(tmp_path: Path) -> None:
    target = Instance(tmp_path / "s")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}, the port of --https-port"):
            target.prepare(LocalSettings(https_port=port))
    assert settings.load(target.state) is None


def test_ports_stay_over_restarts_and_a_hidden_one_that_is_taken_moves(tmp_path: Path) -> None:
    target = Instance(tmp_path / "s")
    first = target.prepare(LocalSettings())
    assert target.prepare(first) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.workload_port))
        taken.listen()
        second = target.prepare(first)
    assert second.workload_port != first.workload_port
    assert replace(second, workload_port=0) == replace(first, workload_port=0)


def test_a_state_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for state in (Path("/proc/nope"), tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadSettings, match=f"--state {state} cannot be a state folder"):
            Instance(state).prepare(LocalSettings())
        assert not Instance(state).running


def test_settings_are_not_stored_while_another_supervisor_runs(tmp_path: Path) -> None:
    target = Instance(tmp_path / "s")
    stored = target.prepare(LocalSettings())
    held = supervisor.lock(target.state)
    assert held is not None
    assert target.running
    with pytest.raises(InstanceError, match="an instance runs already"):
        target.prepare(replace(stored, pool="127.5.0.1-127.5.0.9"))
    assert settings.load(target.state) == stored


def test_those_who_only_look_do_not_keep_a_supervisor_from_starting(tmp_path: Path) -> None:
    looking = os.open(tmp_path / "supervisor.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_SH)
    assert not supervisor.locked(tmp_path)
    done = threading.Timer(0.2, os.close, (looking,))
    done.start()
    assert supervisor.lock(tmp_path) is not None
    done.join()
    assert supervisor.locked(tmp_path)
