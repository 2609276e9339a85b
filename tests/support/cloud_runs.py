"""Runs of the command line in processes of their own: the CPU time they take, and what can be counted of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# The unit that times are told in: what it takes depends on machine and Python as everything else does.
LOOP = "x = 0\nfor i in range(10_000_000): x += i*i%7\n"

# Runs a command and counts calls of our functions by name, by way of Python's own profile hook: nothing is replaced.
_COUNTING = """
import collections, json, sys
counts = collections.Counter()
def seen(frame, event, _):
    if event == "call" and "edge_expose" in frame.f_code.co_filename:
        counts[frame.f_code.co_name] += 1
out, sys.argv = sys.argv[1], ["edge-expose", *sys.argv[2:]]
from edge_expose_cloud.cli import main
sys.setprofile(seen)
try:
    main()
except SystemExit:
    pass
sys.setprofile(None)
with open(out, "w") as file:
    json.dump({"calls": counts, "modules": sorted(sys.modules)}, file)
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """The modules that a run loaded, and how often each function of ours was called, by its name."""

    modules: frozenset[str]
    calls: dict[str, int]

    def loaded(self, package: str) -> bool:
        return any(name == package or name.startswith(package + ".") for name in self.modules)


def counted(result: str, *arguments: str) -> Counted:
    """One run; `result` is a path for what it counted."""
    subprocess.run([sys.executable, "-c", _COUNTING, result, *arguments], check=True, capture_output=True)
    with open(result, encoding="utf-8") as file:
        body = json.load(file)
    return Counted(frozenset(body["modules"]), body["calls"])


@dataclass(frozen=True, slots=True)
class Cost:
    """User and system time of one process, and the most memory it had."""

    seconds: float
    peak_mib: float


def cost_of(command: list[str], times: int, folder: Path | None = None) -> Cost:
    """The least of several runs: what else the machine does only ever adds."""
    found = [_once(command, folder) for _ in range(times)]
    return min(found, key=lambda cost: cost.seconds)


def _once(command: list[str], folder: Path | None) -> Cost:
    # A child of its own, so that the memory told is this run's and not the largest of all.
    measure = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], stdout=-3, stderr=-3)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, done.returncode]))\n"
    )
    line = [sys.executable, "-c", measure, *command]
    done = subprocess.run(line, check=True, capture_output=True, text=True, cwd=folder)
    seconds, peak, code = json.loads(done.stdout)
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    return Cost(seconds, peak)


@cache
def loop_seconds(times: int = 3) -> float:
    return cost_of([sys.executable, "-c", LOOP], times).seconds
