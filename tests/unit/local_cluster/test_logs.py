"""Logs of pods: which lines are answered, and how."""

from __future__ import annotations

import pytest

from edge_expose_local.cluster.kinds.errors import ApiError
from edge_expose_local.cluster.kubelet.logs import Lines, options_of, select
from edge_expose_local.http.messages import Request

LOG = b"2026-01-02T03:04:05.000000001Z one\n2026-01-02T03:04:06.000000000Z 2026-01-02 two\n"


def ask(**query: str) -> bytes:
    return select(LOG, options_of(Request("GET", "/", {k: [v] for k, v in query.items()}, {}, b""), "p"))


def test_lines_are_shown_without_the_time_that_they_are_kept_with() -> None:
    assert ask() == b"one\n2026-01-02 two\n"
    assert ask(timestamps="true") == LOG
    assert ask(tailLines="1") == b"2026-01-02 two\n"
    assert ask(tailLines="0") == b""
    assert ask(limitBytes="2") == b"on"
    assert ask(sinceTime="2026-01-02T03:04:05.5Z") == b"2026-01-02 two\n"
    assert ask(sinceSeconds="1") == b""


def test_a_follower_gets_whole_lines() -> None:
    lines = Lines(timestamps=False)
    assert lines.feed(LOG[:20]) == b""
    assert lines.feed(LOG[20:50]) == b"one\n"
    assert lines.feed(LOG[50:]) == b"2026-01-02 two\n"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"tailLines": "-1"}, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ({"sinceSeconds": "0"}, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        (
            {"sinceSeconds": "5", "sinceTime": "2026-01-01T00:00:00Z"},
            "[]: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(query: dict[str, str], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        ask(**query)
    assert refused.value.message == f'PodLogOptions "p" is invalid: {message}'
