"""Where a lighter way is taken, it ends at the same place: lines without rich, rendered specs without JSON Schema."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_expose_cloud.cli.shared.output import Screen
from edge_expose_cloud.cli.shared.terminal import console_on, marked
from edge_expose_cloud.manifest.checks import check_manifest
from edge_expose_cloud.manifest.content import ManifestDocument
from edge_expose_cloud.manifest.render import render
from edge_expose_cloud.manifest.spec_checks import may_break_a_schema
from edge_expose_cloud.spec.model import Spec

TEXTS = st.text(st.one_of(st.sampled_from(" []/\\:\t\n\x1b\x85\u200b日😀"), st.characters(codec="utf-8")), max_size=300)


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.sampled_from([("", ""), ("✗ error", "red")]))
@example("[bold]x[/bold] :bomb: ", ("", ""))
@example("a" * 400 + " \t \n b  ", ("! warning", "yellow"))
def test_a_line_in_a_pipe_reads_as_rich_would_write_it(text: str, mark: tuple[str, str]) -> None:
    light, rich = io.StringIO(), io.StringIO()
    Screen(light).line(text, *mark)
    console_on(rich).print(marked(text, *mark), soft_wrap=True)
    assert light.getvalue() == rich.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    Screen(stream).line("no such file", "✗ error", "red")
    assert "\x1b[31m✗ error\x1b[0m no such file" in stream.getvalue()


NAMES = st.one_of(
    st.sampled_from(["web", "a-b_1"]), st.text(st.sampled_from("aZ9_-. $#+\n\té"), min_size=1, max_size=4)
)
ENV = st.dictionaries(NAMES, st.one_of(st.text(max_size=3), st.integers(), st.booleans()), max_size=2)
MODULE = st.fixed_dictionaries(
    {"image": st.sampled_from(["a/web:1", ""])},
    optional={
        "env": ENV,
        "startupOrder": st.integers(0, 2**32 - 1),
        "status": st.just("stopped"),
        "restartPolicy": st.just("never"),
        "imagePullPolicy": st.just("never"),
        "version": st.text(max_size=3),
        "createOptions": st.sampled_from([{}, {"Labels": {"a": "b" * 1300}}]),
        "desired": st.just({"a": [1]}),
    },
)
ROUTE_TEXT = st.text(st.sampled_from("a\n "), max_size=3)
ROUTE = st.one_of(
    ROUTE_TEXT,
    st.fixed_dictionaries(
        {"route": ROUTE_TEXT}, optional={"priority": st.integers(0, 9), "timeToLiveSecs": st.integers(0, 2**32 - 1)}
    ),
)
REGISTRY = st.fixed_dictionaries(
    {"address": NAMES, "username": st.text(max_size=3), "password": st.sampled_from(["${env:P}", ""])}
)
SYSTEM = st.fixed_dictionaries({}, optional={"env": ENV, "imagePullPolicy": st.just("on-create"), "image": st.just("")})
SPECS = st.fixed_dictionaries(
    {
        "schemaVersion": st.just("1.0"),
        "name": st.just("s"),
        "target": st.sampled_from([{"device": "d"}, {"condition": "c"}, {"condition": "c", "layered": True}]),
    },
    optional={
        "driver": st.sampled_from(["module", "manifest"]),
        "modules": st.dictionaries(NAMES, MODULE, max_size=2),
        "routes": st.dictionaries(NAMES, ROUTE, max_size=2),
        "registries": st.dictionaries(NAMES, REGISTRY, max_size=2),
        "runtime": st.fixed_dictionaries(
            {}, optional={"edgeAgent": SYSTEM, "edgeHub": SYSTEM, "timeToLiveSecs": st.integers()}
        ),
        "keep": st.just({"$edgeAgent": {"schemaVersion": "1.9"}}),
        "addModule": st.just(False),
        "addEdgeHub": st.just(False),
    },
)


@settings(deadline=None, max_examples=400)
@given(SPECS)
def test_what_is_taken_for_plain_is_refused_by_no_schema(written: dict[str, Any]) -> None:
    spec = Spec.model_validate(written)
    document = ManifestDocument(render(spec)["modulesContent"], "")
    if not may_break_a_schema(spec):
        assert check_manifest(document) == check_manifest(document, by_schema=False)


@pytest.mark.parametrize(
    "part",
    [
        {"modules": {"a.b": {"image": "x"}}},
        {"modules": {"a": {"image": "x", "env": {"a b": "c"}}}},
        {"runtime": {"edgeHub": {"env": {"a+b": "c"}}}},
        {"registries": {"r": {"address": "a b", "username": "", "password": ""}}},
        {"routes": {"up": ""}},
        {"keep": {"$edgeHub": {"schemaVersion": "1.9"}}},
    ],
)
def test_what_a_schema_refuses_is_not_taken_for_plain(part: dict[str, Any]) -> None:
    spec = Spec.model_validate({"schemaVersion": "1.0", "name": "s", "target": {"device": "d"}, **part})
    document = ManifestDocument(render(spec)["modulesContent"], "")
    assert check_manifest(document) != check_manifest(document, by_schema=False)
    assert may_break_a_schema(spec)
