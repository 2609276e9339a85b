"""Pages of the local cluster's lists: a state is remembered as far back as the history goes, and no further."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_expose_local.cluster.api.pages import Page, cut, page_of, state_of
from edge_expose_local.cluster.kinds.errors import ApiError
from edge_expose_local.cluster.store.store import HISTORY, Store
from edge_expose_local.http.messages import Request


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "objects.db")
    yield made
    made.close()


def put(store: Store, name: str, text: str = "") -> int:
    store.put("things", {"metadata": {"namespace": "n", "name": name}, "text": text})
    return store.version


def ask(store: Store, **query: str) -> Page:
    return page_of(Request("GET", "/", {name: [value] for name, value in query.items()}, {}, b""), store)


def texts(found: list[dict[str, str]] | None) -> list[str]:
    return [item["text"] for item in found or []]


def test_any_remembered_state_can_be_shown_again(store) -> None:
    put(store, "a", "1")
    first = put(store, "b", "1")
    second = put(store, "a", "2")
    store.delete("things", "n", "b")
    third = put(store, "c", "1")
    assert texts(store.at("things", first)) == ["1", "1"]
    assert texts(store.at("things", second)) == ["2", "1"]
    assert texts(store.at("things", third)) == ["2", "1"] == texts(store.all("things"))


def test_a_token_that_is_too_old_is_told_so_and_how_to_go_on(store) -> None:
    for name in "abc":
        put(store, name, name)
    version, everything = state_of(ask(store, limit="1"), store, "things", None)
    _, meta = cut(ask(store, limit="1"), everything, version, selected=False)
    store.delete("things", "n", "c")
    for _ in range(HISTORY + 1):
        put(store, "z", "z")
    with pytest.raises(ApiError) as refused:
        state_of(ask(store, **{"continue": meta["continue"]}), store, "things", None)
    status = refused.value.status()
    assert (status["code"], status["reason"]) == (410, "Expired")
    assert status["message"].startswith("The provided continue parameter is too old to display a consistent list")
    rest = ask(store, **{"continue": status["metadata"]["continue"]})
    version, everything = state_of(rest, store, "things", None)
    assert texts(cut(rest, everything, version, selected=False)[0]) == ["b", "z"]
