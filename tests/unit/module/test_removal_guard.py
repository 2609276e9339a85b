"""Documents that take much away, times that come, and names that another needs: what is removed, what is held."""

from __future__ import annotations

from datetime import timedelta

from support.bench import Bench
from support.exposed import addresses, bench_with, web


def test_a_bulk_rename_does_not_pass_the_removal_guard() -> None:
    bench = bench_with({f"r{n}": web() for n in range(4)})
    before = addresses(bench)
    bench.desire({f"s{n}": web() for n in range(4)})
    report = bench.run(6)
    assert {name: ip for name, ip in addresses(bench).items() if name.startswith("r")} == before
    assert report["lastDesiredStatus"]["code"] == 406
    bench.restart()
    assert bench.run(4)["pendingRemoval"]["count"] == 4
    assert bench.state("r0") == ("Ready", before["r0"], "RemovalHeldBack")
    bench.desire({f"s{n}": web() for n in range(4)}, confirmRemoval=report["pendingRemoval"]["token"])
    bench.run()
    assert set(addresses(bench)) == {f"s{n}" for n in range(4)}


def test_one_token_releases_one_removal() -> None:
    many = {f"r{n}": web() for n in range(6)}
    bench = bench_with(many)
    bench.desire({"r0": web()})
    token = bench.run()["pendingRemoval"]["token"]
    bench.desire({"r0": web()}, confirmRemoval=token)
    bench.run()
    assert set(addresses(bench)) == {"r0"}
    bench.desire(many, confirmRemoval=token)
    bench.run()
    assert len(addresses(bench)) == 6
    bench.desire({"r0": web()}, confirmRemoval=token)
    assert bench.run(6)["pendingRemoval"]["token"] != token
    assert len(addresses(bench)) == 6


def test_times_that_had_passed_when_they_were_written_are_a_removal() -> None:
    names = [f"e{number}" for number in range(4)]
    bench = bench_with({name: web() for name in names})
    before = addresses(bench)
    bench.desire({name: web(expires="2025-11-22T18:00:00Z") for name in names})
    report = bench.run(4)
    assert report["lastDesiredStatus"]["code"] == 406
    assert addresses(bench) == before


def test_times_that_come_are_no_removal() -> None:
    names = [f"e{number}" for number in range(4)]
    bench = bench_with({name: web(expires="2026-11-22T05:00:00Z") for name in names})
    bench.time += timedelta(hours=2)
    bench.run()
    assert addresses(bench) == {}


def test_an_exposure_never_takes_the_name_of_the_module_it_leads_to() -> None:
    bench = Bench()
    bench.desire({"webserver": {"module": "webserver", "ports": [80]}})
    bench.run()
    assert bench.state("webserver")[2] == "ModuleName"
    assert addresses(bench) == {}


def test_an_exposure_beyond_the_ports_of_a_document_costs_none_that_stands() -> None:
    """`a` comes before them all by name, and grows afterwards: neither takes the room of what stands."""
    bench = bench_with({f"e{number}": web("1-900") for number in range(5)})
    held = addresses(bench)
    bench.desire({"a": web("1-501"), **{f"e{number}": web("1-900") for number in range(5)}})
    bench.run()
    assert bench.state("a") == ("Blocked", None, "TooManyPorts")
    assert "501 ports are too many beside the 4500 of the other exposures" in bench.exposure("a")["message"]
    bench.desire({"a": web("1-500"), **{f"e{number}": web("1-900") for number in range(4)}, "e4": web("1-901")})
    bench.run()
    assert bench.state("a")[0] == "Blocked"
    assert {name: address for name, address in addresses(bench).items() if name != "a"} == held
    bench.desire({"a": web("1-500"), **{f"e{number}": web("1-900") for number in range(5)}})
    bench.run()
    assert bench.state("a")[0] == "Ready"
