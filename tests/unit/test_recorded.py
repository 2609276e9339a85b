"""Recordings: what varies from run to run becomes a placeholder, and comes back as it was."""

from __future__ import annotations

from typing import Any

import pytest

from support.recorded import Recorded, answers
from support.situations.table import Seen


@pytest.mark.parametrize(
    ("said", "values", "template"),
    [
        pytest.param('held by "a/b"', {"holder": "a/b"}, 'held by "{holder}"', id="a value is replaced"),
        pytest.param("10.0.0.1 and 10.0.0.10", {"a": "10.0.0.1"}, "{a} and 10.0.0.10", id="but not within another"),
        pytest.param("10.0.0.1/32 in 10.0.0.1", {"a": "10.0.0.1", "c": "10.0.0.1/32"}, "{c} in {a}", id="longest"),
        pytest.param("one-two two", {"n": "two"}, "one-two {n}", id="a name is whole"),
        pytest.param('[]string{"x"}', {"x": "x"}, '[]string{{"{x}"}}', id="a brace that was said is doubled"),
        pytest.param("{map[] []}", {"s": "{map[] []}"}, "{s}", id="braces within a value too"),
        pytest.param("nothing", {"n": "no"}, "nothing", id="and otherwise nothing happens"),
    ],
)
def test_a_template_is_made_and_filled_again(said: str, values: dict[str, str], template: str) -> None:
    found = Seen({"message": said}, values).template()
    assert found == {"message": template}
    assert Recorded("x", found).message(**values) == said


def test_lists_and_objects_are_looked_through_and_what_is_none_is_left_out() -> None:
    answer: dict[str, Any] = {"status": 403, "causes": [{"message": "no x"}], "keeps": False, "more": None}
    assert Seen(answer, {"v": "x"}).template() == {"status": 403, "causes": [{"message": "no {v}"}], "keeps": False}


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        answers("metallb-0.16.1")["address-outside-pools"].message(namespace="n", name="a")


def test_a_refusal_of_the_api_server_becomes_its_status_object() -> None:
    body = answers("kubernetes-1.36.3")["namespace-terminating"].body(namespace="n", name="web")
    assert (body["kind"], body["code"], body["reason"]) == ("Status", 403, "Forbidden")
    assert body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert "namespace n because it is being terminated" in body["message"]
