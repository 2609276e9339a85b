"""A run in several processes: no two have the same addresses and ports, and what belongs together stays together."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support import lots
from support.lots import claim
from support.sharing import group_of, rank_of
from support.waiting import eventually

TESTS = Path(lots.__file__).parents[1]
HOLDER = """
import sys
from support.lots import claim
lot = claim()
print(lot.block, flush=True)
sys.stdin.read()
"""


def holder() -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env={"PYTHONPATH": str(TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_what_another_process_has_is_given_to_nobody_until_that_is_dead() -> None:
    process, block = holder()
    only = range(block, block + 1)
    with process:
        with pytest.raises(AssertionError, match="every lot is taken"):
            claim(only)
        process.kill()
    assert eventually(lambda: claim(only)).block == block


def test_two_lots_share_neither_addresses_nor_ports() -> None:
    one, other = claim(), claim()
    assert one.block != other.block
    assert not set(one.ports(50)) & set(other.ports(50))


def test_a_port_is_not_given_again_while_there_are_others() -> None:
    lot = claim()
    assert len({*lot.ports(40), *lot.ports(40)}) == 80


def test_a_port_that_is_taken_is_left_out() -> None:
    lot = claim()
    first = lot.ports(1)[0] + 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert first not in lot.ports(99)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("tests/unit/a.py::test_a", "tests/unit/a.py::test_b[x]", True),
        ("tests/unit/a.py::test_a", "tests/unit/b.py::test_a", False),
        (
            "tests/agreements/cluster/test_a.py::test_a[real-1.36]",
            "tests/agreements/cluster/test_b.py::test_b[real-1.36-more]",
            True,
        ),
        (
            "tests/agreements/cluster/test_a.py::test_a[real-1.36]",
            "tests/agreements/cluster/test_a.py::test_a[real-1.20]",
            False,
        ),
        (
            "tests/agreements/cluster/test_a.py::test_a[real-1.36]",
            "tests/agreements/cluster/test_a.py::test_a[embedded-1.36]",
            False,
        ),
        (
            "tests/agreements/cluster/test_a.py::test_a[real-1.36]",
            "tests/agreements/cluster/test_kills.py::test_a[real-1.36]",
            False,
        ),
        (
            "tests/agreements/load_balancers/test_a.py::test_a[cilium-1.20]",
            "tests/agreements/load_balancers/test_b.py::test_a[cilium-1.20]",
            True,
        ),
        ("tests/cluster/test_network.py::test_a[1.36]", "tests/cluster/test_disasters.py::test_b[1.36-x]", True),
    ],
)
def test_what_shares_a_cluster_or_a_file_stays_together(one: str, other: str, together: bool) -> None:
    assert (group_of(one) == group_of(other)) is together


def test_the_longest_are_begun_first() -> None:
    assert rank_of("tests/agreements/cluster/test_a.py::test_a[real-1.20]") < rank_of("tests/unit/a.py::test_a")
