"""Backups that only the holder of a key can read, and the folder they lie in."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_expose_cloud.adapters.files import private_folder, read_backups, write_backup
from edge_expose_cloud.adapters.sealing import KEY_FILE, KeyFileError, Seal, seal_of
from edge_expose_cloud.cli import app
from edge_expose_cloud.plan.backups import file_name
from support.cloud import NOW, SPEC, applied_hub, use_hub

TEXT = '{"hub": "hub.test", "modulesContent": {"edge-expose": {"properties.desired": {"password": "hunter2"}}}}'


def key(folder: Path, name: str = "key", number: int = 1) -> Path:
    path = folder / name
    path.write_bytes(base64.urlsafe_b64encode(bytes([number]) * 32) + b"\n")
    return path


def test_a_sealed_backup_holds_nothing_to_be_read_and_comes_back_with_its_key(tmp_path: Path) -> None:
    seal = seal_of({KEY_FILE: str(key(tmp_path))})
    path = write_backup(tmp_path / "b", file_name("d1", NOW), TEXT, seal)
    assert "hunter2" not in path.read_text()
    assert "password" not in path.read_text()
    (found,) = read_backups(tmp_path / "b", "d1", "hub.test", seal)
    assert found.desired == {"password": "hunter2"}


def test_an_open_backup_is_read_with_a_key_as_well(tmp_path: Path) -> None:
    write_backup(tmp_path / "b", file_name("d1", NOW), TEXT, Seal())
    assert read_backups(tmp_path / "b", "d1", "hub.test", seal_of({KEY_FILE: str(key(tmp_path))}))


@pytest.mark.parametrize(("number", "said"), [(0, "name the file of its key"), (2, "another key")])
def test_a_backup_that_stays_sealed_is_named_instead_of_passed_over(tmp_path: Path, number: int, said: str) -> None:
    write_backup(tmp_path / "b", file_name("d1", NOW), TEXT, seal_of({KEY_FILE: str(key(tmp_path))}))
    other = seal_of({KEY_FILE: str(key(tmp_path, "other", number))}) if number else Seal()
    with pytest.raises(KeyFileError, match=said):
        read_backups(tmp_path / "b", "d1", "hub.test", other)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 44])
def test_a_file_that_holds_no_key_is_named_and_its_content_is_not(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match="holds no key") as raised:
        seal_of({KEY_FILE: str(path)})
    assert "short" not in str(raised.value)


def test_a_name_that_did_not_expand_is_not_taken_for_no_key() -> None:
    with pytest.raises(KeyFileError, match="names no file"):
        seal_of({KEY_FILE: ""})
    assert seal_of({}).key is None


def test_the_commands_seal_open_and_leave_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(SPEC.replace('"8080:80"', '"8081:80"'))
    use_hub(applied_hub())
    monkeypatch.setenv(KEY_FILE, str(key(tmp_path)))
    run = CliRunner().invoke
    folder = tmp_path / "b"
    assert run(app, ["apply", str(spec), "--yes", "--no-backup", "--backup", str(folder)]).exit_code == 0
    assert not folder.exists()
    spec.write_text(SPEC)
    assert run(app, ["apply", str(spec), "--yes", "--backup", str(folder)]).exit_code == 0
    (path,) = folder.iterdir()
    assert "8081" not in path.read_text()
    monkeypatch.delenv(KEY_FILE)
    refused = run(app, ["rollback", "--device", "d1", "--yes", "--backup", str(folder)])
    assert refused.exit_code == 1
    assert "sealed" in refused.stderr
    monkeypatch.setenv(KEY_FILE, str(key(tmp_path)))
    assert run(app, ["rollback", "--device", "d1", "--yes", "--no-backup", "--backup", str(folder)]).exit_code == 0


def test_every_folder_that_is_made_is_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    old = os.umask(0)
    try:
        (tmp_path / "state" / "edge-expose").mkdir(parents=True)
        private_folder(tmp_path / "state" / "edge-expose" / "backups")
        private_folder(tmp_path / "mine" / "edge-expose" / "deep")
    finally:
        os.umask(old)
    modes = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes.pop(tmp_path / "state") == 0o777, "not ours to close"
    assert set(modes.values()) == {0o700}
