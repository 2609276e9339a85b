"""What the module knows of a load balancer stands in one package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "module" / "edge_expose_module"
DOOR = MODULE / "load_balancers"
FILES = [file for file in sorted(MODULE.rglob("*.py")) if DOOR not in file.parents]
WORDS = ("metallb", "cilium", "lbipam", "allow-shared-ip", "loadbalancerips", "address-pool", "allocationfailed")
# The rail that refuses annotations lists those of every known load balancer, also of kinds that have no door.
LISTS_KEYS = {"desired/rails/steering.py"}
PRIVATE = ("metallb", "metallb_pools", "cilium", "cilium_pools", "service_controller", "sharing")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(MODULE)))
def test_no_other_file_knows_an_object_annotation_or_text_of_one(file: Path) -> None:
    tree = ast.parse(file.read_text())
    found = [text for text in _texts(tree) if any(word in text.lower() for word in WORDS)]
    assert found == [] or str(file.relative_to(MODULE)) in LISTS_KEYS


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(MODULE)))
def test_others_come_in_by_the_door(file: Path) -> None:
    imported = {
        node.module
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert not imported & {f"edge_expose_module.load_balancers.{name}" for name in PRIVATE}


def _texts(tree: ast.Module) -> Iterator[str]:
    """Every text that is no docstring."""
    explained = {
        id(node.value)
        for parent in ast.walk(tree)
        if isinstance(body := getattr(parent, "body", None), list)
        for node in body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained:
            yield node.value
