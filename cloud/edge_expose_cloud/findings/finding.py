"""What a check found, and the table of every rule there is. Pure.

A finding says where (file, line, path), which rule, what is wrong and what to try. The table is the one source of rule
ids: violations that the contract raises keep the contract's id, `finding()` refuses any id that is not in it, and
docs/reference/rules.md is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from edge_expose_cloud.findings.rules import ROWS

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation. `line` counts from 1, 0 means unknown; `path` is dotted (`modules.web.image`)."""

    rule: str
    severity: Severity
    path: str
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0

    def to_json(self) -> dict[str, object]:
        """The shape of `validate -o json`."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "file": self.file or None,
            "line": self.line or None,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
        }

    def at(self, file: str, line: int) -> Finding:
        return replace(self, file=file, line=line)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the rule table."""

    id: str
    severity: Severity
    what: str
    hint: str


RULES: dict[str, Rule] = {row[0]: Rule(*row) for row in ROWS}


def finding(
    rule: str, path: str, message: str, *, hint: str | None = None, severity: Severity | None = None
) -> Finding:
    """A finding of a rule in the table; severity and hint default to the table's."""
    row = RULES[rule]
    return Finding(
        rule=rule,
        severity=severity or row.severity,
        path=path,
        message=message,
        hint=row.hint if hint is None else hint,
    )


def has_errors(findings: Iterable[Finding]) -> bool:
    """True when at least one finding forbids going on."""
    return any(item.severity == "error" for item in findings)


def in_reading_order(findings: Iterable[Finding]) -> list[Finding]:
    """By file, line, path and rule, without repetitions: the same input always shows the same list."""
    return sorted(set(findings), key=lambda f: (f.file, f.line, f.path, f.rule, f.message))
