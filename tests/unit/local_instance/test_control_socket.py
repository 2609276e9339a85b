"""A control socket comes and goes with its part, and leaves nothing in the temporary folder."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_expose_local.control_socket import MAX_PATH, open_control_socket, remove_control_socket


@pytest.fixture
def long(tmp_path: Path) -> Iterator[Path]:
    """A state folder in which no socket can live."""
    folder = tmp_path / ("s" * MAX_PATH)
    folder.mkdir()
    yield folder
    remove_control_socket(folder)


@pytest.fixture
def left(long: Path) -> Iterator[Path]:
    """The temporary folder of a part with that state folder that was killed."""
    open_control_socket(long).close()
    folder = where(long).parent
    yield folder
    if folder.is_symlink():
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)


def where(folder: Path) -> Path:
    return Path((folder / "control.path").read_text())


def test_it_lives_in_the_state_folder_where_it_can() -> None:
    with tempfile.TemporaryDirectory() as short:
        state = Path(short)
        with open_control_socket(state):
            assert where(state) == state / "control.sock"
            assert stat.S_IMODE(where(state).stat().st_mode) == 0o600
        remove_control_socket(state)
        assert list(state.iterdir()) == []


def test_elsewhere_its_folder_is_private_and_goes_with_it(long: Path) -> None:
    with open_control_socket(long):
        folder = where(long).parent
        assert folder.parent == Path(tempfile.gettempdir())
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    remove_control_socket(long)
    assert list(long.iterdir()) == []
    assert not folder.exists()


def test_the_folder_of_a_part_that_was_killed_is_used_again(long: Path, left: Path) -> None:
    open_control_socket(long).close()
    assert where(long).parent == left


@pytest.mark.parametrize("made", ["open to all", "a link", "nothing"])
def test_a_folder_that_was_swept_is_not_trusted(long: Path, left: Path, tmp_path: Path, made: str) -> None:
    shutil.rmtree(left)
    if made == "open to all":
        left.mkdir()
        left.chmod(0o777)
    elif made == "a link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        left.symlink_to(tmp_path / "theirs")
    open_control_socket(long).close()
    assert where(long).parent != left


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_folder_of_another_user_is_not_trusted(long: Path, left: Path) -> None:
    os.chown(left, 65534, 65534)
    open_control_socket(long).close()
    assert where(long).parent != left


def test_removing_twice_does_no_harm(long: Path, left: Path) -> None:
    for _ in range(2):
        remove_control_socket(long)
    assert not left.exists()
