"""The glossary has the words of the project, in order, each in one sentence with its source."""

from __future__ import annotations

import re
from pathlib import Path

from edge_expose_contract.identity import State

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith(("| term", "| ---"))
]
#: what every page may use without explaining it
WORDS = """
    IoT Hub; device identity; module identity; device twin; module twin; desired properties; reported
    properties; $version; tags; target condition; priority; deployment manifest; modulesContent; automatic
    deployment; layered deployment; set modules; targeted; applied; edgeAgent; edgeHub; createOptions;
    PortBindings; exposure; Service; ClusterIP; LoadBalancer; external service IP range; node IPs; address pool;
    sharing key; port; target port; node port; observed; plan; change; outcome; drift; reconcile; resync; owned;
    foreign; adopt; prune; condition; reason; message; transient; terminal; finalizer; resourceVersion; claim;
    driver; spec; inventory; guard rail; removal guard; state file; site
"""


def terms() -> list[str]:
    return [term.strip(" `") for row in ROWS for term in row[0].split(",")]


def test_terms_stand_in_alphabetical_order_and_once() -> None:
    heads = [re.sub(r"[`$]", "", row[0]).lower() for row in ROWS]
    assert heads == sorted(heads)
    assert sorted(terms()) == sorted(set(terms()))


def test_each_is_told_in_one_sentence_with_a_source() -> None:
    for row in ROWS:
        term, meaning, source = row
        assert meaning.endswith("."), term
        assert ". " not in meaning, term
        assert re.fullmatch(r"\[[^\]]+\]\([^)]+\)", source), term


def test_the_words_that_pages_use_are_there() -> None:
    wanted = {word.strip() for word in WORDS.replace("\n", " ").split(";")} | {str(state) for state in State}
    assert {re.sub(r" +", " ", word) for word in wanted} - set(terms()) == set()
