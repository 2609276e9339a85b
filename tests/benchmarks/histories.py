"""`make histories`: random histories of exposures that share addresses, on a fake cluster; seconds of one processor."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.histories import History


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("-n", type=int, default=200, help="how many")
    parser.add_argument("--stay", action="store_true", help="nobody moves from one address to another")
    parser.add_argument("--refused-ports", action="store_true", help="somebody unseen has ports of shared addresses")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    bad = 0
    for seed in range(arguments.seed, arguments.seed + arguments.n):
        history = History(seed, moves=not arguments.stay, refused_ports=arguments.refused_ports)
        history.live()
        problems = history.problems
        bad += bool(problems)
        for problem in problems:
            print(f"seed {seed}: {problem}", flush=True)
    print(f"{arguments.n} histories, {time.process_time():.0f} s: {bad} with problems")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
