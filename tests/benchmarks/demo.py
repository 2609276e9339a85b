"""`make bench-demo`: wall time and peak memory of the demo, as the sum of PSS over its whole process tree."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def tree(root: int) -> set[int]:
    """The process and everything below it, by parent."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = {root}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def pss_kib(pids: set[int]) -> int:
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return total


def main() -> int:
    started = time.monotonic()
    demo = subprocess.Popen([sys.executable, "-m", "edge_expose_cloud", "local", "demo", "--once"])
    peak, most = 0, 0
    while demo.poll() is None:
        pids = tree(demo.pid)
        now = pss_kib(pids)
        peak, most = max(peak, now), max(most, len(pids))
        time.sleep(0.1)
    seconds = time.monotonic() - started
    print(f"demo: {seconds:.1f} s, peak {peak / 1024:.0f} MiB (sum of PSS), at most {most} processes")
    return demo.returncode


if __name__ == "__main__":
    sys.exit(main())
