"""A pool that comes and goes, exposures that rest, a start without the cluster: what was held is found again."""

from __future__ import annotations

import pytest

from support.exposed import addresses, bench_with, web


def test_a_disabled_exposure_finds_its_address_again_while_others_are_free() -> None:
    bench = bench_with({"a": web(), "b": web()})
    before = addresses(bench)
    bench.desire({"a": web(enabled=False), "b": web(), "c": web()})
    bench.run()
    assert addresses(bench)["c"] not in before.values()
    bench.desire({"a": web(), "b": web(), "c": web()})
    bench.run()
    assert addresses(bench)["a"] == before["a"]


def test_the_address_of_a_disabled_exposure_is_given_when_there_is_no_other() -> None:
    names = [f"e{number:02}" for number in range(11)]
    bench = bench_with({name: web() for name in names})
    assert all(addresses(bench).values()), "as many as the range has"
    bench.desire({name: web(enabled=name != "e00") for name in names} | {"late": web()})
    bench.run()
    assert bench.state("late")[0] == "Ready"


def test_an_address_that_a_disabled_exposure_pins_is_chosen_last() -> None:
    bench = bench_with({"first": web()})
    lowest = addresses(bench)["first"]
    bench.desire({"pinned": web(enabled=False, address=lowest), "new": web()})
    bench.run()
    assert addresses(bench)["new"] != lowest


STALE = {"externalServiceIPs": "10.0.0.100-10.0.0.110"}


def test_a_pool_that_may_not_be_read_for_a_while_costs_no_address() -> None:
    bench = bench_with({"a": web()})
    bench.desire({"a": web()}, site=STALE)
    bench.run()
    before = addresses(bench)
    bench.cluster.readable_pool = False
    bench.desire({"a": web(), "b": web()}, site=STALE)
    bench.run(4)
    assert addresses(bench) == {**before, "b": "10.0.0.11"}


@pytest.mark.parametrize("restarted", [False, True])
def test_a_pool_that_is_broken_costs_no_address_and_a_stale_site_gives_none(restarted: bool) -> None:
    bench = bench_with({"a": web()})
    bench.desire({"a": web()}, site=STALE)
    bench.run()
    before = addresses(bench)
    bench.cluster.broken_pools = ["10.0.0.200-10.0.0.x"]
    if restarted:
        bench.restart()
    bench.desire({"a": web(), "b": web()}, site=STALE)
    report = bench.run(4)
    assert report["pool"]["reason"] == "PoolInvalid"
    assert addresses(bench) == {**before, "b": "10.0.0.11"}


def test_an_address_that_the_pool_got_back_is_given_back() -> None:
    bench = bench_with({name: web() for name in "abc"})
    before = addresses(bench)
    bench.cluster.set_pool("10.0.0.10-10.0.0.11")
    bench.run(3)
    assert bench.state("c")[0] == "Blocked"
    bench.cluster.set_pool("10.0.0.10-10.0.0.20")
    bench.run(3)
    assert addresses(bench) == before


def test_no_pool_is_told_apart_from_a_full_one() -> None:
    bench = bench_with({"a": web()})
    bench.cluster.set_pool([])
    assert bench.run(3)["exposures"]["a"]["reason"] == "NoPool"


def test_a_start_while_the_cluster_is_away_leaves_the_last_word_in_the_twin_and_with_it_the_addresses() -> None:
    bench = bench_with({"z": web()})
    bench.desire({"z": web(), "a": web()})
    before, reported = (bench.run()["exposures"], addresses(bench))
    bench.cluster.down = True
    bench.restart(keep_disk=False)
    report = bench.run(2)
    assert report["lastDesiredStatus"]["code"] == 500
    assert report["exposures"] == before
    assert report["summary"]["ready"] == 2
    bench.restart(keep_disk=False)
    bench.cluster.lose_services()
    bench.cluster.down = False
    bench.run()
    assert addresses(bench) == reported
