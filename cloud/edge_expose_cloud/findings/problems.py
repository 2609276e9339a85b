"""What a use case raises when it cannot go on: the input is wrong, or a guard refuses."""

from __future__ import annotations

from edge_expose_cloud.findings.finding import Finding
from edge_expose_contract.identity import MODULE_ID


class InputError(Exception):
    """The input is wrong (exit 2): every finding is shown, nothing was sent."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(item.message for item in findings if item.severity == "error"))
        self.findings = findings


class Refused(Exception):
    """A guard said no (exit 1): what, and what to try."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Missing(Refused):
    """What was named is not there."""


def no_module(device_id: str, module_id: str = MODULE_ID) -> Refused:
    """What to raise where a device lacks the module that is asked for."""
    return Refused(
        f"device {device_id} has no module {module_id}", "apply a spec first: its manifest brings the module"
    )
