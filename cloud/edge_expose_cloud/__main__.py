"""The command `edge-expose`, and `python -m edge_expose_cloud`: the command line, or what it lacks to run."""

from __future__ import annotations

import sys

from edge_expose_cloud.extras import missing


def main() -> None:
    told = missing("cloud")
    if told:
        sys.exit(told)
    from edge_expose_cloud.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
