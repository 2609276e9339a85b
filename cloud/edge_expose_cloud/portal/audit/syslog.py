"""A copy of each audit line for a syslog daemon, on this machine or, by UDP, on another."""

from __future__ import annotations

import logging
import socket
import stat
import sys
from logging.handlers import SysLogHandler
from pathlib import Path


class SyslogError(ValueError):
    """The text says what is wrong and is fit for a person."""


class Syslog(SysLogHandler):
    """`target` is the path of a socket, or HOST:PORT. A daemon that is away loses lines; the file has them."""

    ident = "edge-expose-portal: "
    append_nul = False

    def __init__(self, target: str) -> None:
        self._target = target
        self._failing = False
        try:
            super().__init__(_address(target), SysLogHandler.LOG_AUTHPRIV, socket.SOCK_DGRAM)
        except OSError as error:
            raise SyslogError(f"{target} cannot be used: {error.strerror or error}") from error

    def send(self, line: str) -> None:
        self.handle(logging.LogRecord("audit", logging.INFO, "", 0, line, None, None))

    def emit(self, record: logging.LogRecord) -> None:
        self._failed = False
        super().emit(record)
        if not self._failed:
            self._failing = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Said once for as long as it lasts."""
        self._failed = True
        if not self._failing:
            sys.stderr.write(f"! syslog {self._target} does not accept audit entries: {sys.exc_info()[1]}\n")
        self._failing = True


def _address(target: str) -> str | tuple[str, int]:
    if target.startswith("/"):
        try:
            if stat.S_ISSOCK(Path(target).stat().st_mode):
                return target
        except OSError as error:
            raise SyslogError(f"{target} cannot be used: {error.strerror or error}") from error
        raise SyslogError(f"{target} is no socket")
    host, _, port = target.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SyslogError(f"{target!r} is neither the path of a socket nor HOST:PORT")
    return host.strip("[]"), int(port)
