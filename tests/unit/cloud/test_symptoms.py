"""Trouble as people meet it at the command line; the page is docs/operations/troubleshooting.md."""

from __future__ import annotations

from pathlib import Path

from support.cli import run
from support.fake_hub import FakeHub


def test_a_plan_has_changes_for_as_long_as_somebody_else_writes_the_same_key(
    spec: str, hub: FakeHub, tmp_path: Path
) -> None:
    arguments = ("apply", spec, "--yes", "--backup", str(tmp_path))
    assert run("plan", spec).exit_code == 3, "nobody has applied it"
    assert run(*arguments).exit_code == 0
    assert run("plan", spec).exit_code == 0
    for _ in range(2):
        by_hand = {"exposures": {"web-out": {"ports": ["9:9"]}}}
        hub.patch_module_twin("d1", "edge-expose", by_hand, "*")
        plan = run("plan", spec)
        assert plan.exit_code == 3
        assert "web-out" in plan.stdout
        assert run(*arguments).exit_code == 0
    assert run("plan", spec).exit_code == 0
