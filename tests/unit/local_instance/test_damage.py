"""State that somebody broke is told, with what helps; nothing else takes its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge_expose_local import settings
from edge_expose_local.damage import Damaged
from edge_expose_local.instance import Instance
from edge_expose_local.settings import LocalSettings


@pytest.mark.parametrize("text", ["", "{", "[]", '{"unknown": 1}'])
def test_settings_that_cannot_be_read_are_not_replaced_and_can_be_wiped(text: str, tmp_path: Path) -> None:
    target = Instance(tmp_path / "s")
    target.prepare(LocalSettings())
    (target.state / "local.json").write_text(text)
    with pytest.raises(Damaged, match="local down --wipe") as caught:
        settings.load(target.state)
    assert str(target.state / "local.json") in str(caught.value)
    with pytest.raises(Damaged):
        target.environment()
    assert (target.state / "local.json").read_text() == text
    target.down(wipe=True)
    assert not target.state.exists()


@pytest.mark.parametrize(
    ("part", "file"),
    [("hub", "hub.sqlite"), ("hub", "ca.key"), ("cluster", "objects.db"), ("cluster", "server.pem")],
)
def test_a_part_whose_state_cannot_be_read_says_so_in_one_line(part: str, file: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"edge_expose_local.{part}", "--state", str(tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert "ready" in first.stdout.readline()
    first.terminate()
    assert first.wait(30) == 0
    found = next(tmp_path.rglob(file))
    found.write_bytes(b"no longer what it was " * 300)
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 2
    assert "Traceback" not in again.stderr
    assert f"what is in {tmp_path} cannot be read" in again.stderr
    assert "local down --wipe" in again.stderr
