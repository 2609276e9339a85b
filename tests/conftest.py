"""What holds for every test: how several processes share them out, in CI nothing may be skipped that CI can have, and
who may have a second try.

In CI a skip for a reason not listed here fails the run. Tests of a real cluster's data path and of a real browser run
against other people's programs in real time; one that fails is run once more, twice in a whole run at
most, and the summary shows how it failed (RERUN).
"""

from __future__ import annotations

import os
import signal
from typing import Any

import hypothesis
import pytest

from support.sharing import group_of, rank_of

# What CI truly cannot have, or what a cluster of that kind does not do.
ALLOWED_IN_CI = (
    "this cluster belongs to a person",
    "only on",
    "not on",
    "runc cannot work here",
)


SECOND_TRY = ("network", "browser")

# A busy machine is slow, not wrong: how long an example takes says nothing about it.
hypothesis.settings.register_profile(
    "patient",
    hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("patient")

# What is printed has the same width in every terminal; a process of a shared run even gets these where there is none.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)


def pytest_configure() -> None:
    # A shell starts what runs in its background with Ctrl-C ignored, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.get_closest_marker(name) for name in SECOND_TRY):
            item.add_marker(pytest.mark.flaky(reruns=1))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank_of(item.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """A process that goes on to another group ends what the session started for this one: idle clusters cost too."""
    if not hasattr(item.config, "workerinput") or nextitem is None:
        return None
    if group_of(item.nodeid) == group_of(nextitem.nodeid):
        return None
    return item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class InGroups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False  # the order is ours
    return InGroups(config, log)


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
