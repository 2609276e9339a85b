"""A control socket comes and goes with its part, and leaves nothing in the temporary folder."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_expose_local.control_socket import MAX_PATH, open_control_socket, remove_control_socket


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of this test, with a path that leaves room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A state folder in which no socket can live."""
    folder = tmp_path / ("s" * MAX_PATH)
    folder.mkdir()
    return folder


def where(folder: Path) -> Path:
    return Path((folder / "control.path").read_text())


def test_it_lives_in_the_state_folder_where_it_can(temporary: Path) -> None:
    state = temporary / "state"
    state.mkdir()
    with open_control_socket(state):
        assert where(state) == state / "control.sock"
        assert stat.S_IMODE(where(state).stat().st_mode) == 0o600
    remove_control_socket(state)
    assert list(state.iterdir()) == []


def test_elsewhere_its_folder_is_private_and_goes_with_it(long: Path, temporary: Path) -> None:
    with open_control_socket(long):
        assert where(long).parent.parent == temporary
        assert stat.S_IMODE(where(long).parent.stat().st_mode) == 0o700
    remove_control_socket(long)
    assert list(long.iterdir()) == list(temporary.iterdir()) == []


def test_the_folder_of_a_part_that_was_killed_is_used_again(long: Path, temporary: Path) -> None:
    for _ in range(2):
        open_control_socket(long).close()
    assert list(temporary.iterdir()) == [where(long).parent]


@pytest.mark.parametrize("made", ["open to all", "a link", "nothing"])
def test_a_folder_that_was_swept_is_not_trusted(long: Path, temporary: Path, made: str) -> None:
    open_control_socket(long).close()
    before = where(long)
    before.unlink()
    before.parent.rmdir()
    if made == "open to all":
        before.parent.mkdir()
        before.parent.chmod(0o777)
    elif made == "a link":
        (temporary / "theirs").mkdir(mode=0o700)
        before.parent.symlink_to(temporary / "theirs")
    open_control_socket(long).close()
    assert where(long).parent != before.parent


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_folder_of_another_user_is_not_trusted(long: Path, temporary: Path) -> None:
    open_control_socket(long).close()
    before = where(long).parent
    os.chown(before, 65534, 65534)
    open_control_socket(long).close()
    assert where(long).parent != before


def test_removing_twice_does_no_harm(long: Path, temporary: Path) -> None:
    open_control_socket(long).close()
    for _ in range(2):
        remove_control_socket(long)
    assert list(temporary.iterdir()) == []
