"""The small parts of the module: belief, removal guard, refusals, memory, settings, state file."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_contract.addressing import AddressSet
from edge_expose_module.adapters.iothub_twin import told
from edge_expose_module.adapters.state_file import StateFile
from edge_expose_module.blocks import Block
from edge_expose_module.desired.removal_guard import RemovalGuard, guard_removals
from edge_expose_module.desired.stale_reads import Belief, believe
from edge_expose_module.load_balancers.pools import Allocation, Pool
from edge_expose_module.settings import BadSettings, read_settings
from edge_expose_module.state.history import Since
from edge_expose_module.state.memory import Memory
from edge_expose_module.state.rejection import Rejection

# --- belief ---


def test_a_lower_version_is_believed_after_two_equal_reads() -> None:
    belief, act = believe(Belief(7), 3, {"a": 1})
    assert not act
    belief, act = believe(belief, 3, {"a": 2})
    assert not act, "another document of that version is a new doubt"
    belief, act = believe(belief, 3, {"a": 2})
    assert act
    assert belief.version == 3


def test_a_higher_version_ends_the_doubt() -> None:
    belief, _ = believe(Belief(7), 3, {})
    belief, act = believe(belief, 8, {})
    assert act
    belief, act = believe(belief, 3, {})
    assert not act, "the old doubt is forgotten"


# --- removal guard ---


@pytest.mark.parametrize(
    ("held", "removed", "percent", "stops"),
    [
        ("abcd", "abc", 50, True),
        ("abcd", "ab", 50, False),
        ("abcdef", "abc", 50, False),
        ("abcdef", "abcd", 50, True),
        ("abc", "abc", 100, False),
        ("abc", "abc", 0, True),
        ("ab", "ab", 0, False),
        ("abc", "xyz", 0, False),
    ],
)
def test_the_removal_guard_holds_for_three_or_more_beyond_the_share(
    held: str, removed: str, percent: int, stops: bool
) -> None:
    services = dict.fromkeys(held, "1")
    found = guard_removals(services, frozenset(removed), percent, [], RemovalGuard())
    assert (found.pending is not None) == stops
    if found.pending is None:
        return
    confirmed = guard_removals(services, frozenset(removed), percent, [found.pending.token], found)
    assert confirmed.pending is None
    assert confirmed.released == found.pending.names
    fewer = frozenset(removed) - {removed[0]}
    other = guard_removals(services, fewer | {"d"}, 0, [found.pending.token], RemovalGuard()).pending
    assert other is None or other.token != found.pending.token


def test_what_the_same_document_adds_does_not_pass_the_removal_guard() -> None:
    old, new = dict.fromkeys("abc", "1"), dict.fromkeys("abcxyz", "1")
    first = guard_removals(old, frozenset("abc"), 50, [], RemovalGuard())
    assert first.pending is not None
    again = guard_removals(new, frozenset("abc"), 50, [], RemovalGuard(base=first.base))
    assert again.pending == first.pending
    assert guard_removals(new, frozenset("a"), 50, [], RemovalGuard(base=first.base)) == RemovalGuard(), (
        "taken back but for one"
    )


def test_a_confirmation_counts_once_and_for_all_of_its_removal() -> None:
    held = dict.fromkeys("abcdef", "1")
    pending = guard_removals(held, frozenset("abcd"), 50, [], RemovalGuard()).pending
    assert pending is not None
    released = guard_removals(held, frozenset("abcd"), 50, [pending.token], RemovalGuard())
    half = guard_removals(dict.fromkeys("cdef", "1"), frozenset("abcd"), 50, [pending.token], released)
    assert half == RemovalGuard(released=frozenset("cd")), "killed half way: the rest may still go"
    made_again = guard_removals(dict.fromkeys("abcdef", "2"), frozenset("abcd"), 50, [pending.token], RemovalGuard())
    assert made_again.pending is not None
    assert made_again.pending.token != pending.token


def test_a_token_dies_with_the_removal_that_it_was_made_for() -> None:
    held = dict.fromkeys("abcdef", "1")
    first = guard_removals(held, frozenset("abcd"), 50, [], RemovalGuard(), "1")
    assert first.pending is not None
    token = first.pending.token
    assert guard_removals(held, frozenset("abcd"), 50, [], first, "2").pending == first.pending, "it waits on"
    over = guard_removals(held, frozenset(), 50, [token], first, "3")
    assert over == RemovalGuard()
    again = guard_removals(held, frozenset("abcd"), 50, [token], over, "4")
    assert again.pending is not None, "taken back, and taken away again"
    assert again.pending.token != token
    other = guard_removals(held, frozenset("abce"), 50, [token], first, "5")
    back = guard_removals(held, frozenset("abcd"), 50, [token], other, "6")
    assert back.pending is not None, "changed, and changed back"
    assert back.pending.token not in (token, other.pending and other.pending.token)


# --- refusals ---


# --- memory and its file ---


def test_memory_survives_its_own_json() -> None:
    memory = Memory(
        document={"schemaVersion": "1.0"},
        version=4,
        site={"namespace": "x"},
        last_good={"a": {"module": "m", "ports": [80]}},
        previous_good={"a": {"module": "m", "ports": [79]}},
        addresses={"a": ("10.0.0.1",)},
        expired={"b": "2026-01-01T00:00:00Z"},
        since={"a": Since("Ready", "10.0.0.1", "", "t")},
        confirmed=("x",),
        held_before=("a", "b"),
        released=("b",),
        removal_mark=("0a1b", "4 now"),
        homes={"a": ("x", "y")},
        knows_homes=True,
        held={"a": ("10.0.0.1",)},
        identities=("hub.test/edge1/edge-expose",),
        lives=("2026-11-22T04:00:00.000001Z",),
        rejected={"a": (Rejection("10.0.0.2", Block("AddressTaken", "somebody has it"), "c"),)},
        pools=(
            Pool("p", AddressSet.parse("10.0.0.0/30"), False, True),
            Pool(
                "q", AddressSet.parse("10.0.1.0/30"), allocation=Allocation(3, frozenset({"n"}), ({"matchLabels": {}},))
            ),
        ),
    )
    assert Memory.from_json(json.loads(json.dumps(memory.to_json()))) == memory


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_read_without_a_crash(content: Any) -> None:
    Memory.from_json(content)
    if isinstance(content, dict):
        Memory.from_json({"format": 1, **content}).good_exposures()


def test_addresses_only_the_twin_knows_are_learned_and_known_ones_stay() -> None:
    memory = Memory(addresses={"a": ("10.0.0.1",)})
    reported = {
        "exposures": {"a": {"address": "10.0.0.9"}, "b": {"address": "10.0.0.2,fc00::1"}, "c": {"address": "x"}}
    }
    learned = memory.learn_reported(reported)
    assert learned.addresses == {"a": ("10.0.0.1",), "b": ("10.0.0.2", "fc00::1")}
    assert memory.learn_reported({"exposures": "x"}) == memory


def test_the_state_file_is_private_and_a_broken_one_is_set_aside(tmp_path: Path) -> None:
    store = StateFile(tmp_path / "s")
    memory = Memory(version=3)
    store.save(memory)
    file = tmp_path / "s" / "state.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert StateFile(tmp_path / "s").load() == memory
    for broken in ('{"format": 1, "vers', "[" * 100_000):
        file.write_text(broken)
        assert StateFile(tmp_path / "s").load() == Memory()
    assert (tmp_path / "s" / "state.corrupt").exists()


# --- settings ---


def test_all_bad_settings_are_told_at_once() -> None:
    environment = {
        "EDGE_EXPOSE_ALLOW_PORTS": "80-70",
        "EDGE_EXPOSE_ALLOW_ADDRESSES": "10.0.0.9-10.0.0.1",
        "EDGE_EXPOSE_ALLOW_SOURCES": "10.0.0.1/8",
        "EDGE_EXPOSE_ALLOW_NAMESPACES": "Bad",
        "EDGE_EXPOSE_RESYNC_SECONDS": "soon",
        "EDGE_EXPOSE_SAS_TTL_SECONDS": "60",
        "EDGE_EXPOSE_HTTP_ADDRESS": "x:99999",
        "EDGE_EXPOSE_MAX_REMOVAL_PERCENT": "101",
        "EDGE_EXPOSE_LOG_LEVEL": "loud",
    }
    with pytest.raises(BadSettings) as caught:
        read_settings(environment)
    assert len(caught.value.problems) == len(environment)
    assert all(name in " ".join(caught.value.problems) for name in environment)


def test_settings_are_read() -> None:
    settings = read_settings(
        {
            "EDGE_EXPOSE_ALLOW_PORTS": "80, 8000-8100",
            "EDGE_EXPOSE_HTTP_ADDRESS": "[::1]:9000",
            "EDGE_EXPOSE_LOG_LEVEL": "debug",
            "KUBECONFIG": "/k",
        }
    )
    assert settings.guards.ports == ((80, 80), (8000, 8100))
    assert settings.http == ("::1", 9000)
    assert settings.kubeconfig == Path("/k")
    assert settings.log_level == "DEBUG"
    assert settings.guards.max_removal_percent == 50


# --- what is told of an error of the hub client ---


def test_no_path_of_the_workload_api_is_told() -> None:
    session = requests.Session()
    session.trust_env = False
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(requests.ConnectionError) as caught:
        session.get(f"http://127.0.0.1:{port}/edge1/edge-expose/secret-of-the-module/trust-bundle")
    text = told(caught.value)
    assert "secret-of-the-module" not in text
    assert str(port) in text
    assert "refused" in text
