"""How a run in several processes shares out the tests: what belongs together goes to one process, in one piece.

Tests of one file belong together, since a file may start a cluster, a hub or a whole device for all its tests. Where a
fixture of the session starts a cluster for each of its parameters, the tests of one parameter belong together instead,
over all files, but for a file that takes so long that a cluster of its own is the smaller price. What takes longest is
begun first, so that no process is left alone with it at the end.
"""

from __future__ import annotations

import re
from typing import Final

#: folder or file -> what a test's name says about the cluster it shares with those of other files
_SHARED_CLUSTERS: Final = (
    ("tests/agreements/cluster/", re.compile(r"\[(embedded-1\.\d+|real-1\.\d+|person)\b")),
    ("tests/agreements/load_balancers/", re.compile(r"\[((?:cilium|service-controller)-1\.\d+)\b")),
    ("tests/cluster/test_network.py", re.compile(r"\[(1\.\d+)\b")),
    ("tests/cluster/test_disasters.py", re.compile(r"\[(1\.\d+)\b")),
)

_OWN_CLUSTERS: Final = frozenset({"tests/agreements/cluster/test_kills.py"})

#: starts of groups, by how long they take
_LONGEST_FIRST: Final = (
    "tests/agreements/cluster real",
    "tests/cluster",
    "tests/agreements",
    "tests/functional",
)


def group_of(nodeid: str) -> str:
    """The name of what a test belongs to."""
    file = nodeid.partition("::")[0]
    for start, cluster in _SHARED_CLUSTERS:
        if file.startswith(start) and (found := cluster.search(nodeid)):
            return f"{file if file in _OWN_CLUSTERS else start.rpartition('/')[0]} {found[1]}"
    return file


def rank_of(nodeid: str) -> int:
    """Which tests a run in several processes begins first: the smallest."""
    group = group_of(nodeid)
    return next((rank for rank, start in enumerate(_LONGEST_FIRST) if group.startswith(start)), len(_LONGEST_FIRST))
