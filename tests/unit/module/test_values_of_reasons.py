"""Every reason that the module gives comes with the values that the contract's table names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from edge_expose_contract.reason_table import REASON_TABLE
from edge_expose_module.adapters.api_refusals import error_of
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.api import Refused
from edge_expose_module.state.rejection import Rejection

SOURCE = Path(__file__).resolve().parents[3] / "module" / "edge_expose_module"
# What carries a reason, and the place of its values among the arguments.
CARRIERS = {"Block": 2, "Answer": 3, "Refused": 2, "Outcome": 3}


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", node


def named() -> list[tuple[str, str, set[str | None]]]:
    """Where, the reason, and the names of the values given: of every call of `of` of a carrier."""
    found = []
    for where, call in calls():
        match call.func:
            case ast.Attribute(value=ast.Name(id=carrier), attr="of") if carrier in CARRIERS:
                reason = call.args[0]
                assert isinstance(reason, ast.Constant), f"{where}: the reason is not written out"
                found.append((where, str(reason.value), {keyword.arg for keyword in call.keywords}))
    return found


def test_every_reason_written_out_comes_with_the_values_of_its_row() -> None:
    wrong = [
        f"{where}: {reason} has {given}, its row {REASON_TABLE[reason].values}"
        for where, reason, given in named()
        if given != set(REASON_TABLE[reason].values)
    ]
    assert wrong == []


def test_a_reason_from_elsewhere_comes_with_its_values() -> None:
    bare = []
    for where, call in calls():
        match call.func:
            case ast.Name(id=carrier) if carrier in CARRIERS and not where.startswith("adapters/"):
                values = [*call.args[CARRIERS[carrier] :], *(k.value for k in call.keywords if k.arg == "values")]
                if not values:
                    bare.append(where)
    assert bare == []


def test_most_reasons_are_seen_by_these_tests() -> None:
    assert len({reason for _, reason, _ in named()}) > 35


def test_of_puts_values_in_the_order_of_the_row() -> None:
    block = Block.of("PortTaken", "text", holder="web/db", address=ip_address("10.0.0.1"), port="80/tcp")
    assert block.values == ("80/tcp", "10.0.0.1", "web/db")


def test_a_value_may_have_the_name_of_a_field() -> None:
    assert Block.of("OutsideRails", "text", reason="PortNotAllowed", value=80).values == ("PortNotAllowed", "80")


@pytest.mark.parametrize(
    ("code", "message", "party"),
    [
        (403, 'services "web" is forbidden: exceeded quota: few, requested: services=1, used: services=2', "few"),
        (403, 'admission webhook "deny.example.com" denied the request: no', "deny.example.com"),
        (
            422,
            "services \"web\" is forbidden: ValidatingAdmissionPolicy 'rails' with binding 'b' denied request: no",
            "rails",
        ),
        (500, 'Internal error occurred: failed calling webhook "gone.example.com": failed to call', "gone.example.com"),
        (500, "Internal error occurred: failed to allocate a serviceIP: range is full", ""),
    ],
)
def test_who_refused_is_named(code: int, message: str, party: str) -> None:
    error = error_of(code, {"message": message})
    assert isinstance(error, Refused)
    assert error.party == party


def test_a_rejection_keeps_its_values_on_disk() -> None:
    block = Block.of("AddressTaken", "text", address="10.0.0.1", holder="web/db")
    rejection = Rejection("10.0.0.1", block, "mark")
    assert Rejection.from_json(rejection.to_json()) == rejection


def test_a_rejection_of_an_older_module_has_none() -> None:
    read = Rejection.from_json(["10.0.0.1", "AddressTaken", "text", "mark"])
    assert read == Rejection("10.0.0.1", Block("AddressTaken", "text"), "mark")
