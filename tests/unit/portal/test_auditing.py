"""The audit log: read from its end, and never larger than it may be."""

from __future__ import annotations

import json
import multiprocessing
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_expose_cloud.portal.audit.check import check_audit
from edge_expose_cloud.portal.audit.log import NOTHING_BEFORE, Audit
from edge_expose_cloud.portal.audit.syslog import Syslog, SyslogError


def numbers(audit: Audit, device: str, most: int = 50) -> list[str]:
    return [entry["number"] for entry in audit.of_device(device, most)]


def filled(path: Path, count: int, most_bytes: int = 1 << 30) -> Audit:
    """Entries of two devices in turn, so many of each."""
    audit = Audit(path, most_bytes)
    for number in range(count):
        for device in ("d1", "d1-west"):
            audit.write("ada", "expose", device=device, number=str(number), padding="x" * 200)
    return audit


@pytest.mark.parametrize("count", [1, 3, 700], ids=["one", "a few", "many blocks"])
def test_the_last_entries_of_a_device_come_newest_first(tmp_path: Path, count: int) -> None:
    audit = filled(tmp_path / "audit.jsonl", count)
    assert numbers(audit, "d1", 10_000) == [str(number) for number in reversed(range(count))]
    assert numbers(audit, "d1", 2) == [str(number) for number in reversed(range(count))][:2]


def test_a_log_that_is_full_is_set_aside_once_and_still_read(tmp_path: Path) -> None:
    audit = filled(tmp_path / "audit.jsonl", 200, most_bytes=20_000)
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes.keys() == {"audit.jsonl", "audit.jsonl.1"}
    assert max(sizes.values()) <= 20_000
    found = numbers(audit, "d1", 10_000)
    assert found == [str(number) for number in reversed(range(200 - len(found), 200))]
    assert len(found) > 20_000 // 900, "the older file is read as well"
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


def test_lines_that_are_none_and_a_file_that_is_not_there_are_passed_over(tmp_path: Path) -> None:
    assert Audit(tmp_path / "none.jsonl").of_device("d1") == []
    audit = filled(tmp_path / "audit.jsonl", 1)
    with (tmp_path / "audit.jsonl").open("ab") as stream:
        stream.write(b'["d1"]\n{"device": "d1", broken\n\xff "d1"\n')
    assert numbers(audit, "d1") == ["0"]


def test_an_odd_device_id_is_found(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    audit.write("ada", "expose", device='d"é', number="7")
    assert numbers(audit, 'd"é') == ["7"]


def test_a_log_that_nobody_touched_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    filled(path, 3)
    filled(path, 2)  # started again
    found = check_audit(path)
    assert (found.entries, found.problem, found.begins, found.unchained, found.cut) == (10, "", True, 0, 0)
    first = json.loads(path.read_text().splitlines()[0])
    assert first["previous"] == NOTHING_BEFORE
    assert check_audit(path, found.last).problem == ""


def edited(change: Callable[[list[str]], list[str]]) -> Callable[[Path], object]:
    return lambda path: path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        pytest.param(edited(lambda lines: [*lines[:4], *lines[5:]]), "line 5", id="a line is taken out"),
        pytest.param(edited(lambda lines: lines[1:]), "", id="the first is taken out"),
        pytest.param(edited(lambda lines: [lines[1], lines[0], *lines[2:]]), "line 2", id="two are moved"),
        pytest.param(
            edited(lambda lines: [lines[0], lines[1].replace('"ada"', '"vic"'), *lines[2:]]), "line 3", id="changed"
        ),
        pytest.param(edited(lambda lines: [*lines[:3], lines[2], *lines[3:]]), "line 4", id="one stands twice"),
        pytest.param(edited(lambda lines: [*lines[:3], "junk", *lines[3:]]), "line 5", id="junk is put in"),
        pytest.param(edited(lambda lines: [*lines[:3], '{"user": "eve"}', *lines[3:]]), "line 4", id="no link"),
        pytest.param(lambda path: path.unlink(), "cannot be read", id="the file is gone"),
    ],
)
def test_a_log_that_was_touched_is_told_with_the_line(tmp_path: Path, spoil, says) -> None:
    path = tmp_path / "audit.jsonl"
    filled(path, 5)
    spoil(path)
    found = check_audit(path)
    assert says in found.problem
    if not says:
        assert not found.begins, "it shows as a beginning that is missing"
        assert found.problem == ""


def test_lines_cut_off_at_the_end_show_against_a_hash_noted_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    filled(path, 5)
    noted = check_audit(path).last
    edited(lambda lines: lines[:-2])(path)
    assert check_audit(path).problem == ""
    assert "no line has the hash" in check_audit(path, noted).problem


def test_the_chain_goes_on_when_the_log_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    filled(path, 60, most_bytes=1 << 14)
    found = check_audit(path)
    assert found.problem == ""
    assert not found.begins, "the oldest entries are gone"
    path.with_name("audit.jsonl.1").unlink()
    assert check_audit(path).problem == ""


def test_a_line_that_was_cut_off_by_the_machine_is_no_manipulation(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    filled(path, 2)
    path.write_bytes(path.read_bytes()[:-30])
    filled(path, 1)
    found = check_audit(path)
    assert (found.problem, found.cut, found.entries) == ("", 1, 6)


def test_a_log_of_an_older_version_goes_on_with_a_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"user": "ada", "action": "expose"}\n' * 3)
    filled(path, 1)
    assert (check_audit(path).problem, check_audit(path).unchained) == ("", 3)
    edited(lambda lines: [lines[1], lines[2].replace('"ada"', '"vic"'), *lines[3:]])(path)
    assert check_audit(path).problem != ""


def _fill(path: Path) -> None:
    filled(path, 40, most_bytes=1 << 14)


def test_two_portals_with_one_log_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_fill, args=(path,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert check_audit(path).problem == ""


def test_strangers_cannot_push_out_what_others_did(tmp_path: Path) -> None:
    clock = [0.0]
    audit = Audit(tmp_path / "audit.jsonl", now=lambda: clock[0])
    audit.write("ada", "expose", device="d1", number="1")
    for _ in range(5000):
        audit.write_refusal("x" * 64, "sign-in-refused", client="192.0.2.1")
    assert len((tmp_path / "audit.jsonl").read_text().splitlines()) == 101
    clock[0] += 120
    for _ in range(5):
        audit.write_refusal("x", "sign-in-refused")
    audit.write("ada", "expose", device="d1", number="2")
    told = [json.loads(line).get("refusalsNotWritten") for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert told[101:] == ["4900", None, "3"]
    assert check_audit(tmp_path / "audit.jsonl").problem == ""


@pytest.mark.parametrize("kind", ["udp", "socket"])
def test_each_line_goes_to_syslog_too_and_one_that_is_away_loses_none_of_the_file(tmp_path: Path, kind, capsys) -> None:
    family = socket.AF_INET if kind == "udp" else socket.AF_UNIX
    daemon = socket.socket(family, socket.SOCK_DGRAM)
    daemon.settimeout(30)
    daemon.bind(("127.0.0.1", 0) if kind == "udp" else str(tmp_path / "log"))
    target = f"127.0.0.1:{daemon.getsockname()[1]}" if kind == "udp" else str(tmp_path / "log")
    syslog = Syslog(target)
    audit = Audit(tmp_path / "audit.jsonl", copy=syslog.send)
    audit.write("ada", "expose", device="d1")
    heard = daemon.recv(65536).decode()
    assert heard == f"<86>edge-expose-portal: {(tmp_path / 'audit.jsonl').read_text().strip()}"
    daemon.close()
    (tmp_path / "log").unlink(missing_ok=True)
    for _ in range(3):
        audit.write("ada", "expose", device="d1")
    syslog.close()
    assert check_audit(tmp_path / "audit.jsonl").entries == 4
    assert capsys.readouterr().err.count("does not accept audit entries") == (1 if kind == "socket" else 0)


@pytest.mark.parametrize("target", ["/nowhere/log", "/etc/hostname", "logs", ":514", "host:0", "host:99999", "host:x"])
def test_a_syslog_that_is_none_is_refused(target) -> None:
    with pytest.raises(SyslogError):
        Syslog(target)
