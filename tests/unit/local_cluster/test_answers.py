"""The load balancer of the local cluster has no text of its own: whatever it says was heard of the real one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import edge_expose_local.cluster.metallb
from edge_expose_local.cluster.metallb.answers import Answers
from support import recorded

FOLDER = Path(edge_expose_local.cluster.metallb.__file__).parent
SPEAKING = ("allocator.py", "configuration.py", "requests.py", "legacy_config.py", "load_balancer.py", "pools.py")
VERSIONS = ("0.10.3", "0.16.1")
#: names of MetalLB's and Kubernetes' own that look like a situation
NAMES = {
    "address-pools",
    "allow-shared-ip",
    "auto-assign",
    "avoid-buggy-ips",
    "bgp-advertisements",
    "bgp-communities",
    "metallb-controller",
    "metallb-system",
    "address-pool",
}
#: what it prints for the operator of the stand-in, who is told of its own troubles
OWN_LOG = {"load balancer: writing the status of ", " failed: ", "load balancer: ", " is not written: "}


def texts() -> Iterator[tuple[str, str]]:
    """Every text in the code that is no docstring, with its file."""
    for name in SPEAKING:
        tree = ast.parse((FOLDER / name).read_text())
        statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
                yield name, node.value


def test_every_refusal_was_recorded() -> None:
    situations = {text for _, text in texts() if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", text)} - NAMES
    assert len(situations) > 30
    unknown = {name for name in situations if not any(Answers(version).known(name) for version in VERSIONS)}
    assert unknown == set()


def test_no_sentence_stands_in_the_code() -> None:
    sentences = {(name, text) for name, text in texts() if re.search(r"[a-z] [a-z]", text)}
    assert {text for _, text in sentences} <= OWN_LOG, sentences


@pytest.mark.parametrize("version", VERSIONS)
def test_what_ships_is_what_was_recorded(version: str) -> None:
    name = f"metallb-{version}.json"
    assert (FOLDER / "recordings" / name).read_bytes() == (recorded.FOLDER / name).read_bytes()
