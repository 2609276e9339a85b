"""The small form of `make crash`: a few kills of a real apply, both ways of pushing, and two operators at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.crash import run
from support.cloud import SPEC
from support.fleet import connected, make_devices
from support.hub import child_environment, start_hub

pytestmark = pytest.mark.local


def test_an_apply_that_is_killed_is_finished_by_running_it_again(tmp_path: Path) -> None:
    said: list[str] = []
    assert run(4, 2, 7, tmp_path, said.append, {"each": 1, "fleet": 2}) == 0, "\n".join(said)


def test_of_two_operators_at_once_one_wins_and_the_other_is_told(tmp_path: Path) -> None:
    hub = start_hub(tmp_path)
    try:
        make_devices(hub, ["d1"], "north")
        path = tmp_path / "s.yaml"
        path.write_text(SPEC)
        environment = child_environment(
            IOTHUB_CONNECTION_STRING=hub.connection_string.strip(),
            EDGE_EXPOSE_HUB_CA=str(hub.ca),
            HOME=os.environ["HOME"],
        )

        def start(text: str, name: str) -> subprocess.Popen[str]:
            mine = tmp_path / f"{name}.yaml"
            mine.write_text(text)
            command = [sys.executable, "-m", "edge_expose_cloud", "apply", str(mine), "--yes", "--allow", "modules=9"]
            extra = {"XDG_STATE_HOME": str(tmp_path / name)}
            return subprocess.Popen(
                command, env={**environment, **extra}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

        first = start(SPEC, "first")
        assert first.communicate()[1].count("Traceback") == 0
        for round_number in range(2):
            image = f"a/web:{round_number + 2}"
            both = [start(SPEC.replace("a/web:1", f"{image}-{who}"), who) for who in ("anna", "ben")]
            ended = [(*child.communicate(), child.returncode) for child in both]
            codes = sorted(code for _, _, code in ended)
            twin = connected(hub).module_twin("d1", "$edgeAgent")
            assert twin is not None
            now = twin.desired["modules"]["web"]["settings"]["image"]
            if codes == [0, 0]:  # one was so late that it planned on what the other had done: no update was lost
                continue
            assert codes == [0, 1], ended
            winner = "anna" if ended[0][2] == 0 else "ben"
            assert now == f"{image}-{winner}"
            told = ended[1 if winner == "anna" else 0][1]
            assert any(words in told for words in ("changed since the plan", "is applying to d1", "changed while")), (
                told
            )
    finally:
        hub.stop()
