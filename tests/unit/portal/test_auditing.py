"""The audit log: read from its end, and never larger than it may be."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_expose_cloud.portal.auth.audit import Audit


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
    assert len(found) > 20_000 // 700, "the older file is read as well"
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
