"""In CI nothing that CI can have may be skipped: there, a skip for a reason not listed here fails the run."""

from __future__ import annotations

import os

import pytest

# What CI truly cannot have, or what a cluster of that kind does not do.
ALLOWED_IN_CI = (
    "this cluster belongs to a person",
    "only on",
    "not on",
)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if os.environ.get("CI") != "true" or exitstatus != pytest.ExitCode.OK:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    reasons = {str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped if report.longrepr}
    unexpected = sorted(reason for reason in reasons if not reason.startswith(ALLOWED_IN_CI))
    if unexpected:
        reporter.write_line("")
        for reason in unexpected:
            reporter.write_line(f"skipped in CI, and must not be: {reason}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
