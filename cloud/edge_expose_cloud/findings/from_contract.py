"""Turns the contract's violations into findings: same rule ids, same messages, plus a severity. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edge_expose_cloud.findings.finding import RULES, Finding, Severity
from edge_expose_contract.violations import Violation

# Values at these places are never repeated in a message, nor are whole mappings and lists: who knows what is in them.
_MAY_HOLD_SECRETS = re.compile(r"(^|\.)(registries|env|registryCredentials|createOptions|variables|keep)([.\[]|$)")
_COLLECTION = re.compile(r" \(got [{\[]")


def findings_of(violations: Iterable[Violation], *, severity: Severity = "error") -> list[Finding]:
    """One finding for each violation; a hint of the rule table stands in where the violation has none."""
    return [finding_of(violation, severity) for violation in violations]


def finding_of(violation: Violation, severity: Severity = "error") -> Finding:
    row = RULES.get(violation.rule)
    hint = violation.hint or (row.hint if row else "")
    message = violation.message
    if _MAY_HOLD_SECRETS.search(violation.path) or _COLLECTION.search(message):
        message = message.partition(" (got ")[0]
    return Finding(rule=violation.rule, severity=severity, path=violation.path, message=message, hint=hint)
