"""`make recordings`: plays every situation on the real test bed and writes what was said to tests/agreements/recorded.

Two runs give equal files. A text that changed is a finding: read the diff before it is committed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import recorded
from support.situations.beds import KINDS, real_bed
from support.situations.table import KUBERNETES, METALLB, Situation, load

FAILED: list[str] = []
"""Situations that did not come about; the files of their combination are left alone then."""


def play(profile: str, situations: list[Situation], folder: Path) -> dict[str, dict[str, dict[str, object]]]:
    """Answers by component and situation."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for needs in KINDS:
        rows = [row for row in situations if row.needs == needs]
        if not rows:
            continue
        with real_bed(profile, folder / f"{profile}-{needs or 'ordinary'}", needs) as bed:
            for row in rows:
                begin = time.monotonic()
                try:
                    answer = {"given": row.given, **row.run(bed).template()}
                except AssertionError as error:
                    FAILED.append(f"{profile} {row.id}: {error}")
                    print(FAILED[-1], flush=True)
                else:
                    found.setdefault(row.component[profile], {})[row.id] = answer
                bed.clear()
                print(f"{profile} {row.id} {time.monotonic() - begin:.1f} s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profile", choices=sorted(METALLB), action="append", help="one combination only")
    parser.add_argument("--only", metavar="TEXT", help="situations whose id holds TEXT; the others stay as recorded")
    arguments = parser.parse_args()
    for profile in arguments.profile or sorted(METALLB):
        rows = [row for row in load().values() if profile in row.profiles and (arguments.only or "") in row.id]
        with tempfile.TemporaryDirectory(prefix="edge-expose-record-") as folder:
            found = play(profile, rows, Path(folder))
        if any(text.startswith(profile) for text in FAILED):
            continue
        for name in (METALLB[profile], KUBERNETES[profile]):
            kept = recorded.read(name)["answers"] if arguments.only else {}
            recorded.write(name, {**kept, **found.get(name, {})})
    if FAILED:
        sys.exit("\n".join(["not written, since these did not come about:", *FAILED]))


if __name__ == "__main__":
    main()
