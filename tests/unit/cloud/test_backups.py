"""Backups of devices: whose a file is, what is read, and how many are kept."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_cloud.adapters.files import backups_of, read_backups, write_backup
from edge_expose_cloud.plan.backups import KEPT, content_of, difference, file_name, parse_name
from support.cloud import NOW

OURS = {"schemaVersion": "1.0", "exposures": {}}
BODY = json.dumps({"modulesContent": {"edge-expose": {"properties.desired": OURS}}})
DEVICE_IDS = st.text(st.sampled_from("ab1-.%_*?!(),:=@$'/"), min_size=1, max_size=12)


def write(folder: Path, device: str, count: int, body: str = BODY) -> list[str]:
    """Some backups of a device, a second apart; their names, newest first."""
    names = [file_name(device, NOW + dt.timedelta(seconds=number)) for number in range(count)]
    for name in names:
        write_backup(folder, name, body)
    return names[::-1]


@given(DEVICE_IDS, st.datetimes(min_value=NOW.replace(year=1970, tzinfo=None), timezones=st.just(dt.UTC)))
def test_a_name_says_whose_backup_it_is_and_of_when(device: str, moment: dt.datetime) -> None:
    name = file_name(device, moment)
    assert parse_name(name) == (device, moment)
    assert "/" not in name


@pytest.mark.parametrize(
    "name",
    [
        "users.json",
        "d1.json",
        "d1-20261125T100000000000Z.json.tmp",
        "d1-20261325T100000000000Z.json",
        "d:1-20261125T100000000000Z.json",
        "-20261125T100000000000Z.json",
    ],
)
def test_another_file_is_no_backup(name: str) -> None:
    assert parse_name(name) is None


def test_the_history_of_a_device_is_its_own_whatever_lies_beside_it(tmp_path: Path) -> None:
    names = write(tmp_path, "edge1", 3)
    write(tmp_path, "edge1-west", KEPT)
    write(tmp_path, "edge_1", 1)
    write(tmp_path, "edge:1", 2)
    assert [backup.name for backup in read_backups(tmp_path, "edge1", "hub")] == names
    assert [path.name for path in backups_of(tmp_path, "edge1")] == names
    assert [len(read_backups(tmp_path, device, "hub")) for device in ("edge1-west", "edge_1", "edge:1")] == [KEPT, 1, 2]


def test_a_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    (name,) = write(tmp_path, "edge1", 1)
    write(tmp_path, "edge2", 1)
    later = [NOW + dt.timedelta(days=number) for number in range(1, 4)]
    (tmp_path / file_name("edge1", later[0])).write_bytes(b"\xff\xfe")
    (tmp_path / file_name("edge1", later[1])).write_text("{broken")
    (tmp_path / file_name("edge1", later[2])).mkdir()
    assert [backup.name for backup in read_backups(tmp_path, "edge1", "hub")] == [name]


def test_a_backup_of_a_device_without_our_module_has_nothing_of_ours(tmp_path: Path) -> None:
    write(tmp_path, "edge1", 1, json.dumps({"modulesContent": {"$edgeAgent": {"properties.desired": {}}}}))
    write(tmp_path, "edge2", 1)
    (without,), (having,) = read_backups(tmp_path, "edge1", "hub"), read_backups(tmp_path, "edge2", "hub")
    assert (without.desired, having.desired) == (None, OURS)


def test_the_newest_are_kept_and_those_of_other_devices_are_left_alone(tmp_path: Path) -> None:
    others = [*write(tmp_path, "edge1-west", 2), "users.json"]
    (tmp_path / "users.json").write_text("{}")
    names = write(tmp_path, "edge1", KEPT + 5)
    assert [path.name for path in backups_of(tmp_path, "edge1")] == names[:KEPT]
    assert all((tmp_path / name).exists() for name in others)


def test_what_was_just_written_is_never_one_too_many(tmp_path: Path) -> None:
    write(tmp_path, "edge1", KEPT)
    old = write_backup(tmp_path, file_name("edge1", NOW - dt.timedelta(days=1)), BODY)
    assert old.exists()


def test_no_folder_is_no_history(tmp_path: Path) -> None:
    assert read_backups(tmp_path / "none", "edge1", "hub") == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"modulesContent": 3}', "no json", "[" * 100_000])
def test_a_text_that_is_no_backup_has_no_content(text: str) -> None:
    assert content_of(text) is None


def test_a_difference_names_what_going_back_would_do() -> None:
    now = {"exposures": {"a": {"x": 1}, "b": {}}, "site": {"nodeIPs": "1"}}
    then = {"exposures": {"a": {"x": 2}, "c": {}}, "site": {"nodeIPs": "1"}}
    found = difference(now, then)
    assert (found.added, found.removed, found.changed, found.site) == (("c",), ("b",), ("a",), False)
    assert difference(now, now).is_nothing


def test_exposures_that_somebody_typed_as_a_list_do_not_break_the_history() -> None:
    assert difference({"exposures": ["web"]}, {"exposures": {"a": {}}}).added == ("a",)


def test_a_device_of_the_same_name_in_another_hub_has_backups_of_its_own(tmp_path: Path) -> None:
    for day, hub in enumerate(("north.example.net", "south.example.net", "")):
        text = json.dumps({"hub": hub, "modulesContent": {"m": {"properties.desired": {"of": hub}}}})
        write_backup(tmp_path, file_name("edge1", NOW + dt.timedelta(days=day)), text)
    found = read_backups(tmp_path, "edge1", "north.example.net")
    assert [backup.hub for backup in found] == ["", "north.example.net"], "an older file does not say"
