"""The process itself: how it starts and ends, what it imports, and that no key of a kubeconfig stays behind."""

from __future__ import annotations

import base64
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_expose_module.adapters import key_folder
from support.testbed_pki import make_pki
from support.waiting import PATIENCE, eventually


class Process:
    """The module on a kubeconfig that holds a client key, or names a program that tells one; hub and cluster are
    away."""

    def __init__(self, folder: Path, *, by_plugin: bool) -> None:
        pki = make_pki(folder / "pki", ["127.0.0.1"])
        self.state, self.temporary = folder / "state", folder / "tmp"
        self.temporary.mkdir()
        ca, certificate, key = (
            base64.b64encode(file.read_bytes()).decode() for file in (pki.ca, pki.certificate, pki.key)
        )
        user: dict[str, Any] = {"client-certificate-data": certificate, "client-key-data": key}
        if by_plugin:
            told = {"clientCertificateData": pki.certificate.read_text(), "clientKeyData": pki.key.read_text()}
            answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": told}
            (folder / "answer").write_text(json.dumps(answer))
            user = {"exec": {"apiVersion": answer["apiVersion"], "command": "cat", "args": [str(folder / "answer")]}}
        content = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": ca}}],
            "users": [{"name": "u", "user": user}],
        }
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(content))
        self.environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "KUBECONFIG": str(kubeconfig),
            "EDGE_EXPOSE_STATE_DIR": str(self.state),
            "EdgeHubConnectionString": "HostName=127.0.0.1;DeviceId=edge1;ModuleId=edge-expose;SharedAccessKey=AAAA",
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_expose_module"],
            env={**self.environment, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.running.append(process)
        return process

    def keys(self) -> list[Path]:
        """Files with a private key, wherever the module may write."""
        files = [file for folder in (self.state, self.temporary) for file in folder.rglob("*") if file.is_file()]
        return [file for file in files if b"PRIVATE KEY" in _content(file)]

    def stop(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:  # the module makes and removes files as it starts
        return b""


@pytest.fixture
def module(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, by_plugin=False)
    yield process
    process.stop()


@pytest.fixture
def with_plugin(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, by_plugin=True)
    yield process
    process.stop()


def test_a_key_of_a_kubeconfig_is_never_written_to_a_disk(module: Process) -> None:
    process = module.start(EDGE_EXPOSE_LOG_LEVEL="INFO")
    assert process.stderr is not None
    # The first call went as far as TLS: the key had been read by then.
    told = next(line for line in process.stderr if b"cluster: the Kubernetes API cannot be reached" in line)
    assert b"NewConnectionError" in told
    assert module.keys() == []
    process.kill()
    process.wait()
    assert module.keys() == []


def test_a_key_that_a_plugin_told_lies_in_the_state_folder_while_the_module_runs(with_plugin: Process) -> None:
    module = with_plugin
    process = module.start()
    found = eventually(module.keys, what="the key is there for TLS")
    assert [key.parent for key in found] == [module.state / "keys"]
    assert stat.S_IMODE(found[0].parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(module.state.stat().st_mode) == 0o700
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert module.keys() == []


def test_a_key_left_by_a_module_that_was_killed_goes_with_the_next_start(with_plugin: Process) -> None:
    module = with_plugin
    process = module.start()
    first = eventually(module.keys, what="the key is there for TLS")
    process.kill()
    process.wait()
    assert module.keys() == first
    process = module.start()
    eventually(lambda: module.keys() not in ([], first), what="the old key is gone and the new one there")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert module.keys() == []


def test_bad_settings_end_it_with_2_and_all_are_told(module: Process) -> None:
    process = module.start(EDGE_EXPOSE_LOG_LEVEL="loud", EDGE_EXPOSE_RESYNC_SECONDS="soon")
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert b"EDGE_EXPOSE_LOG_LEVEL='loud': not one of DEBUG" in told
    assert b"EDGE_EXPOSE_RESYNC_SECONDS" in told
    assert b"Traceback" not in told


def test_where_the_state_folder_takes_nothing_keys_go_among_temporary_files(tmp_path: Path) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.write_text("a file, and no folder")
    folder = key_folder.make(in_the_way)
    assert folder.is_dir()
    assert in_the_way not in folder.parents
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    key_folder.remove(folder)
    assert not folder.exists()
