"""How long a peer may stay silent below HTTP, for every connection this process makes through urllib3.

The hub client calls the workload API with no deadline at all, and a watch of the cluster is quiet for minutes when all
is well. Without these options a call whose first packets were lost waits for two minutes: while a node starts, its
address translation may not be there yet, and then every retry of that connection is lost too; only a new one gets
through. And a peer that vanished without a word (power cut, replaced pod) is waited for without end.
"""

from __future__ import annotations

import socket
from typing import Final

from urllib3.connection import HTTPConnection

# 1 s, 2 s and 4 s: a connection that is not there after 7 s fails, and its owner makes another.
_CONNECT_RETRIES: Final = 2
_IDLE_SECONDS, _PROBE_SECONDS, _PROBES = 15, 5, 3
_OPTIONS: Final = {
    "TCP_SYNCNT": _CONNECT_RETRIES,
    "TCP_KEEPIDLE": _IDLE_SECONDS,
    "TCP_KEEPINTVL": _PROBE_SECONDS,
    "TCP_KEEPCNT": _PROBES,
}


def set_up() -> None:
    """Makes new connections give up on a silent peer; where the system lacks an option, it is left out."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in _OPTIONS.items():
        if (number := getattr(socket, name, None)) is not None:
            options.append((socket.IPPROTO_TCP, number, value))
    # In place: the list is the default of a parameter, which a new list would not replace.
    defaults = HTTPConnection.default_socket_options
    defaults.extend(option for option in options if option not in defaults)
