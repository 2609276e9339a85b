"""A process that is killed at any write of a move leaves nothing behind, and no client without an address."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import dying_module
from support.cluster import clean_environment
from support.eye import Eye
from support.testbed_module import ModuleBench


class Lives:
    """Processes of one module, one after the other, each with the state file that the one before left."""

    def __init__(self, cluster: Any, folder: Path) -> None:
        self.bench = ModuleBench(cluster, cluster.namespace(), folder)
        self.folder = folder
        self._version = 1
        environment = clean_environment()
        environment["PYTHONPATH"] += f":{Path(dying_module.__file__).parents[1]}"
        self._log = folder / "lives.log"
        with self._log.open("wb") as words:
            self._births = subprocess.Popen(
                [sys.executable, dying_module.__file__],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                bufsize=1,
            )

    def live(self, exposures: dict[str, Any], wanted: tuple[str, str], number: int = 0, when: str = "") -> int:
        """The exit code of a process that is killed at a write, or ends once `web` has the wanted state and address."""
        self._version += 1
        order = {
            "kubeconfig": str(self.folder / "module.kubeconfig"),
            "namespace": self.bench.namespace,
            "state": str(self.folder),
            "desired": {"schemaVersion": "1.0", "exposures": exposures},
            "version": self._version,
            "wanted": {"web": wanted},
            "number": number,
            "when": when,
        }
        assert self._births.stdin is not None
        assert self._births.stdout is not None
        self._births.stdin.write(json.dumps(order) + "\n")
        code = int(self._births.stdout.readline() or "1")
        assert code in (0, -signal.SIGKILL), self._log.read_text()[-3000:]
        return code

    def end(self) -> None:
        with self._births:
            self._births.kill()
        self.bench.remove_rights()


@pytest.fixture
def lives(cluster: Any, tmp_path: Path) -> Iterator[Lives]:
    found = Lives(cluster, tmp_path)
    yield found
    found.end()


@pytest.mark.parametrize(("ports", "at_least"), [(["8080:80"], 4), (["53/tcp", "53/udp"], 5)])
def test_a_move_that_is_killed_anywhere_is_carried_on_without_a_gap(cluster, lives, ports, at_least) -> None:
    def wish(address: str) -> dict[str, Any]:
        return {"web": {"selector": ["app=w"], "ports": ports, "address": address}}

    held, target = f"{cluster.base}.12", f"{cluster.base}.15"
    assert lives.live(wish(held), ("Pending", held)) == 0
    for when in ("before", "after"):
        number = 0
        while True:
            number += 1
            with Eye(lives.bench, "web") as eye:
                killed = lives.live(wish(target), ("Pending", target), number, when) != 0
                assert lives.live(wish(target), ("Pending", target)) == 0
            assert eye.addresses == [held, target], f"killed {when} write {number}"
            left = cluster.call("GET", cluster.services(lives.bench.namespace)).body["items"]
            assert sorted(item["metadata"]["name"] for item in left) == ["web", "web-udp"][: len(ports)]
            held, target = target, held
            if not killed:
                break
        # The state file, the claim, the Service, the claim's end; and its twin.
        assert number > at_least, "the kills reached every write of a move"


def test_a_move_that_is_refused_and_killed_anywhere_has_touched_nothing(cluster, lives) -> None:
    def wish(address: str) -> dict[str, Any]:
        return {"web": {"selector": ["app=w"], "ports": ["8080:80"], "address": address}}

    held, refused = f"{cluster.base}.12", f"{cluster.base}.15"
    elsewhere = cluster.namespace()
    cluster.balancer(elsewhere, "holder", {"loadBalancerIP": refused})
    cluster.wait_address(elsewhere, "holder", refused)
    assert lives.live(wish(held), ("Pending", held)) == 0
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/edge-expose-{lives.bench.namespace}"
    rules = cluster.call("GET", path).body["rules"]
    for rule in rules:
        rule["resources"] = [resource for resource in rule["resources"] if resource != "services"]
    assert cluster.merge(path, {"rules": rules}).status == 200
    for when in ("before", "after"):
        number = 0
        killed = True
        while killed:
            number += 1
            with Eye(lives.bench, "web") as eye:
                killed = lives.live(wish(refused), ("Blocked", held), number, when) != 0
                assert lives.live(wish(refused), ("Blocked", held)) == 0
            assert len(eye.versions) == 1, f"killed {when} write {number}: the Service was written"
            left = cluster.call("GET", cluster.services(lives.bench.namespace)).body["items"]
            assert [item["metadata"]["name"] for item in left] == ["web"]
            # Another document: the refusal is forgotten, and it is claimed for again.
            assert lives.live(wish(held), ("Pending", held)) == 0
        assert number > 3, "the kills reached every write of a claim"
