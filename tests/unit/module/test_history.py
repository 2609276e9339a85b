"""The last state changes: whose document caused them, in pages, and through the state file."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from edge_expose_contract.models import Change
from edge_expose_module.desired.causes import author_of, touched
from edge_expose_module.methods import Methods
from edge_expose_module.state.history import (
    MOST_CHANGES,
    UNKNOWN,
    Author,
    Since,
    StateChange,
    history_from,
    history_json,
    newest_first,
    recorded,
)
from edge_expose_module.state.memory import Memory
from support.bench import Bench, nobody_answers
from support.fake_cluster import FakeCluster

NOW = "2026-11-22T04:00:00Z"
ALICE = Author("alice", NOW, "ticket 7")
POD = "net.azure-devices.edge.module"
WEB = {"module": "site", "ports": ["80"]}
DB = {"module": "base", "ports": ["81"]}


def since(state: str, reason: str = "") -> Since:
    return Since(state, "10.0.0.1", reason, NOW)


# -- pure --


def test_what_differs_is_recorded_with_its_author() -> None:
    old = {"a": since("Ready"), "b": since("Ready")}
    found = recorded((), old, {"a": since("Pending", "NoReadyEndpoints"), "b": old["b"]}, {"a": ALICE}, NOW)
    assert found == (StateChange(1, NOW, "a", "Pending", "10.0.0.1", "NoReadyEndpoints", ALICE),)


def test_what_no_document_caused_has_no_author() -> None:
    (change,) = recorded((), {}, {"a": since("Ready")}, {"b": ALICE}, NOW)
    assert change.author is None
    assert "change" not in change.to_json()


def test_what_is_gone_has_no_state() -> None:
    (change,) = recorded((), {"a": since("Ready")}, {}, {"a": UNKNOWN}, NOW)
    assert change.to_json() == {
        "number": 1,
        "time": NOW,
        "exposure": "a",
        "state": None,
        "change": {"by": "unknown"},
    }


def test_nothing_new_is_nothing() -> None:
    same = {"a": since("Ready")}
    history = recorded((), {}, same, {}, NOW)
    assert recorded(history, same, same, {"a": ALICE}, NOW) is not None
    assert recorded(history, same, same, {"a": ALICE}, NOW) == history


def test_it_keeps_the_last_ones_and_counts_on() -> None:
    history: tuple[StateChange, ...] = ()
    before: dict[str, Since] = {}
    for number in range(MOST_CHANGES + 30):
        after = {"a": since("Ready" if number % 2 else "Pending")}
        history = recorded(history, before, after, {}, NOW)
        before = after
    assert len(history) == MOST_CHANGES
    assert (history[0].number, history[-1].number) == (31, MOST_CHANGES + 30)


def test_pages_are_newest_first_of_one_or_of_all() -> None:
    history = tuple(StateChange(number, NOW, "ab"[number % 2], "Ready") for number in range(1, 7))
    assert [change.number for change in newest_first(history)] == [6, 5, 4, 3, 2, 1]
    assert [change.number for change in newest_first(history, "b")] == [5, 3, 1]
    assert [change.number for change in newest_first(history, "b", 5)] == [3, 1]
    assert newest_first(history, "c") == []


def test_the_state_file_gives_back_what_it_took_and_each_author_once() -> None:
    history = tuple(StateChange(n, NOW, "a", "Ready", "10.0.0.1", "", [ALICE, UNKNOWN, None][n % 3]) for n in range(9))
    written = json.loads(json.dumps(history_json(history)))
    assert history_from(written) == history
    assert len(written["authors"]) == 2


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"changes": 7},
        {"authors": 7, "changes": [[1], "x", [1, NOW, "a", "Ready", "", "", "x"], None]},
    ],
)
def test_a_state_file_that_has_none_or_holds_nonsense_gives_none(content: object) -> None:
    assert history_from(content) == ()


def test_nonsense_among_authors_costs_no_change() -> None:
    row = [1, NOW, "a", "Ready", "", "", 0]
    assert history_from({"authors": [7], "changes": [row, [*row[:6], 5]]})[0].author == UNKNOWN


def test_memory_keeps_it() -> None:
    memory = Memory(history=(StateChange(1, NOW, "a", "Ready", author=ALICE),))
    assert Memory.from_json(json.loads(json.dumps(memory.to_json()))) == memory


# -- which document touches what --


def document(**exposures: Any) -> dict[str, Any]:
    return {"schemaVersion": "1.0", "exposures": exposures}


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        pytest.param(None, document(a=WEB, b=DB), {"a", "b"}, id="the first document"),
        pytest.param(document(a=WEB), document(a=WEB), set(), id="the same"),
        pytest.param(document(a=WEB), document(a=WEB) | {"change": {"by": "x"}}, set(), id="only its change"),
        pytest.param(document(a=WEB), document(a=WEB) | {"$version": 9}, set(), id="what the hub writes"),
        pytest.param(document(a=WEB, b=DB), document(a=WEB | {"ports": [1]}, b=DB), {"a"}, id="another port"),
        pytest.param(document(a=WEB), document(a=WEB, b=DB), {"b"}, id="one more"),
        pytest.param(document(a=WEB, b=DB), document(b=DB), {"a"}, id="one less"),
        pytest.param(document(a=WEB, b=DB), document(a=None, b=DB), {"a"}, id="one on its way out"),
        pytest.param(document(a=WEB, b=DB), document(a=WEB, b=DB) | {"site": {}}, {"a", "b"}, id="another site"),
        pytest.param(document(a=WEB), document() | {"confirmRemoval": "t"}, {"a"}, id="a removal confirmed"),
        pytest.param(document(a=WEB), {"exposures": 7}, {"a"}, id="no exposures"),
    ],
)
def test_which_exposures_a_document_touches(before: Any, after: Any, names: set[str]) -> None:
    assert touched(before, after) == names


CHANGE = {"by": "alice", "at": NOW, "note": "ticket 7"}


def test_the_author_is_who_the_document_says() -> None:
    new = document() | {"change": CHANGE}
    assert author_of(document(), new, Change(**CHANGE)) == ALICE
    assert author_of(None, new, Change(**CHANGE)) == ALICE


def test_of_an_edit_that_left_the_change_before_in_place_nobody_knows_the_author() -> None:
    old = document() | {"change": CHANGE}
    assert author_of(old, document(a=WEB) | {"change": CHANGE}, Change(**CHANGE)) == UNKNOWN
    assert author_of(old, document(a=WEB), None) == UNKNOWN


# -- in the loop --


def started(**exposures: Any) -> Bench:
    bench = Bench(FakeCluster())
    for module in ("site", "base"):
        bench.cluster.add_pod(module, {POD: module})
    if exposures:
        bench.desire(exposures, change=CHANGE)
        bench.run()
    return bench


def story(bench: Bench, name: str | None = None) -> list[tuple[str | None, str | None]]:
    """State and author, the oldest first."""
    found = reversed(ask(bench, {"exposure": name} if name else {})["changes"])
    return [(change["state"], change.get("change", {}).get("by")) for change in found]


def ask(bench: Bench, payload: Any) -> dict[str, Any]:
    code, answer = asyncio.run(Methods(bench.controller, nobody_answers, list).handle("history", payload))
    assert code == 200, answer
    return answer


def test_what_a_document_brings_is_its_authors() -> None:
    bench = started(web=WEB)
    assert story(bench)[-1] == ("Ready", "alice")
    newest = ask(bench, {})["changes"][0]
    assert newest["change"] == CHANGE
    assert newest["address"] == "10.0.0.10"


def test_what_the_world_does_is_nobodys() -> None:
    bench = started(web=WEB)
    del bench.cluster.pods[("edge1", "site")]
    bench.run()
    assert story(bench)[-1] == ("Pending", None)
    bench.cluster.add_pod("site", {POD: "site"})
    bench.run()
    assert story(bench)[-1] == ("Ready", None)


def test_what_waits_for_something_is_its_authors_until_it_is_there() -> None:
    bench = started()
    del bench.cluster.pods[("edge1", "site")]
    bench.desire({"web": WEB}, change=CHANGE)
    bench.run()
    assert story(bench)[-1] == ("Pending", "alice")
    bench.cluster.add_pod("site", {POD: "site"})
    bench.run()
    assert story(bench)[-1] == ("Ready", "alice")


def test_a_hand_edit_is_of_an_unknown_author() -> None:
    bench = started(web=WEB)
    bench.twin.patch_desired({"exposures": {"db": DB}})
    bench.run()
    assert story(bench, "db")[-1] == ("Ready", "unknown")
    assert {by for _, by in story(bench, "web")} == {"alice"}


def test_a_document_without_change_is_too() -> None:
    bench = started()
    bench.desire({"web": WEB})
    bench.run()
    assert {by for _, by in story(bench)} == {"unknown"}


def test_a_removal_is_recorded_and_can_be_asked_for() -> None:
    bench = started(web=WEB)
    bench.desire({}, change={**CHANGE, "by": "bob"})
    bench.run()
    assert story(bench, "web")[-1] == (None, "bob")


def test_a_document_that_changes_no_state_is_not_blamed_for_what_happens_later() -> None:
    bench = started(web=WEB)
    bench.desire({"web": {**WEB, "labels": ["a=b"]}}, change={**CHANGE, "by": "bob"})
    bench.run()
    del bench.cluster.pods[("edge1", "site")]
    bench.run()
    assert story(bench)[-1] == ("Pending", None)


def test_the_same_document_with_another_change_is_no_change() -> None:
    bench = started(web=WEB)
    writes, told = list(bench.cluster.writes), story(bench)
    bench.desire({"web": WEB}, change={**CHANGE, "by": "bob"})
    bench.run()
    assert bench.cluster.writes == writes
    assert story(bench) == told


def test_an_outage_is_nobodys_also_when_a_document_comes_meanwhile() -> None:
    bench = started(web=WEB)
    bench.cluster.down = True
    bench.desire({"web": {**WEB, "labels": ["a=b"]}}, change={**CHANGE, "by": "bob"})
    bench.run()
    bench.later(seconds=120)
    bench.run()
    assert story(bench)[-1] == ("Pending", None)


def test_it_outlives_a_restart_and_a_restart_is_no_news() -> None:
    bench = started(web=WEB)
    told = story(bench)
    bench.restart()
    bench.cluster.down = True
    bench.run()
    bench.cluster.down = False
    bench.run()
    assert story(bench) == told


def test_a_module_killed_before_its_first_report_knows_the_author_still() -> None:
    bench = started()
    bench.desire({"web": WEB}, change=CHANGE)
    bench.store.content = Memory(document=dict(bench.twin.desired), version=bench.twin.version).to_json()
    bench.restart()
    bench.run()
    assert {by for _, by in story(bench)} == {"alice"}


class CountingStore:
    def __init__(self, bench: Bench) -> None:
        self.texts: list[str] = []
        self.before = bench.store.save
        bench.store.save = self.save  # type: ignore[method-assign]

    def save(self, memory: Memory) -> str:
        text = json.dumps(memory.to_json(), sort_keys=True)
        if not self.texts or self.texts[-1] != text:
            self.texts.append(text)
        return self.before(memory)


def test_it_causes_no_write_of_its_own() -> None:
    bench = started(web=WEB)
    store = CountingStore(bench)
    bench.run()
    assert len(store.texts) == 1, "nothing happened, nothing is written"
    bench.desire({"web": {**WEB, "labels": ["a=b"]}}, change={**CHANGE, "by": "bob"})
    bench.run()
    assert len(store.texts) == 3, "the document, and then that it was declared in another way"
    del bench.cluster.pods[("edge1", "site")]
    bench.run()
    assert len(store.texts) == 4, "the state and its history together"


def test_a_declaration_that_leaves_state_and_address_is_recorded_once_with_its_author() -> None:
    """Somebody who looks for the change of a port finds it, with the note."""
    bench = started(web=WEB, db=DB)
    before = len(ask(bench, {})["changes"])
    bob = {**CHANGE, "by": "bob", "note": "INC-1"}
    bench.desire({"web": {**WEB, "labels": ["a=b"]}, "db": DB}, change=bob)
    bench.run()
    bench.run()
    added = ask(bench, {})["changes"][: -before or None]
    assert [(c["exposure"], c["state"], c["change"]["by"], c["change"]["note"]) for c in added] == [
        ("web", "Ready", "bob", "INC-1")
    ]


# -- the method --


def full(note: str) -> Bench:
    bench = started(web=WEB)
    authors = [Author(f"a{number}", NOW, note) for number in range(MOST_CHANGES)]
    history = tuple(StateChange(n + 1, NOW, "web", "Ready", author=author) for n, author in enumerate(authors))
    bench.store.content = Memory(history=history).to_json()
    bench.restart()
    return bench


def test_pages_fit_an_answer_and_lead_to_the_end() -> None:
    bench = full("ä" * 256)
    numbers: list[int] = []
    page = ask(bench, {})
    assert page["more"] > 0
    while True:
        assert len(json.dumps(page)) < 128_000
        numbers += [change["number"] for change in page["changes"]]
        if not page["more"]:
            break
        page = ask(bench, {"before": numbers[-1]})
    assert numbers == list(range(MOST_CHANGES, 0, -1))


def test_short_ones_come_in_one_page() -> None:
    page = ask(full(""), {"exposure": "web"})
    assert (len(page["changes"]), page["more"]) == (MOST_CHANGES, 0)


def test_nothing_before_the_first() -> None:
    assert ask(started(web=WEB), {"before": 1}) == {"changes": [], "more": 0}
    assert ask(started(), None) == {"changes": [], "more": 0}


@pytest.mark.parametrize("payload", [{"exposure": 7}, {"before": "x"}, {"before": True}, {"before": 1.5}])
def test_a_bad_payload_is_refused(payload: dict[str, Any]) -> None:
    bench = started()
    code, answer = asyncio.run(Methods(bench.controller, nobody_answers, list).handle("history", payload))
    assert code == 400
    assert "write" in answer["error"]
