"""What holds for every test: in CI nothing may be skipped that CI can have, and who may have a second try.

In CI a skip for a reason not listed here fails the run. Tests of a real cluster's data path and of a real browser run
against other people's programs in real time; one that fails is run once more, twice in a whole run at
most, and the summary shows how it failed (RERUN).
"""

from __future__ import annotations

import os
import signal

import pytest

# What CI truly cannot have, or what a cluster of that kind does not do.
ALLOWED_IN_CI = (
    "this cluster belongs to a person",
    "only on",
    "not on",
)


SECOND_TRY = ("network", "browser")


def pytest_configure() -> None:
    # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.get_closest_marker(name) for name in SECOND_TRY):
            item.add_marker(pytest.mark.flaky(reruns=1))


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
