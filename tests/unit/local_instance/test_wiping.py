"""`local down --wipe` forgets the instance, and nothing of other hubs that lies in the same folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_expose_local.instance import Instance, InstanceError
from edge_expose_local.settings import LocalSettings


def test_backups_and_accounts_of_the_portal_outlive_the_instance(tmp_path: Path) -> None:
    state = tmp_path / "edge-expose"
    Instance(state).prepare(LocalSettings())
    for folder in ("hub", "cluster", "runtime", "backups"):
        (state / folder).mkdir()
        (state / folder / "file").write_text("x")
    (state / "hub.log").write_text("x")
    (state / "portal-users.json").write_text("{}")
    Instance(state).down(wipe=True)
    assert sorted(file.name for file in state.iterdir()) == ["backups", "portal-users.json"]
    assert (state / "backups" / "file").is_file()


def test_a_folder_that_held_only_the_instance_is_gone(tmp_path: Path) -> None:
    state = tmp_path / "edge-expose"
    Instance(state).prepare(LocalSettings())
    Instance(state).down(wipe=True)
    assert not state.exists()


def test_a_folder_that_is_none_of_ours_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    with pytest.raises(InstanceError, match="not wiped"):
        Instance(tmp_path).down(wipe=True)
    assert (tmp_path / "hub").is_dir()
