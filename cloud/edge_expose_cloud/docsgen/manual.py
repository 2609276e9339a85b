"""Writes the manual page edge-expose(1) from the commands: `python -m edge_expose_cloud.docsgen.manual FILE`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from edge_expose_cloud.docsgen.command_tree import commands, names_and_value, text_and_example

_EXITS = {
    "0": "Success.",
    "1": "Something outside failed (hub, cluster, network), or a guard refused.",
    "2": "The input is wrong: arguments, spec or manifest.",
    "3": "Changes are pending (plan), or the device did not converge in time (--wait).",
}
_VARIABLES = {
    "IOTHUB_CONNECTION_STRING": "How to sign in to IoT Hub.",
    "EDGE_EXPOSE_HUB_CA": "PEM file of a private CA that the hub is trusted by.",
    "EDGE_EXPOSE_BACKUP_KEY_FILE": "Key file with which backups are encrypted.",
}


def page() -> str:
    """The page as man(7) source."""
    return "\n".join([f'.TH EDGE-EXPOSE 1 "" "edge-expose {version("edge-expose")}" "User Commands"', *_lines()]) + "\n"


def _lines() -> Iterator[str]:
    yield from (".SH NAME", r"edge\-expose \- fixed external addresses for IoT Edge modules on Kubernetes")
    yield from (".SH SYNOPSIS", r".B edge\-expose", r".I COMMAND", "[OPTIONS]", ".SH COMMANDS")
    for name, command in commands():
        text, example = text_and_example(command)
        yield from (f'.SS "{_roff(name)}"', _roff(text))
        if example:
            yield from (".PP", ".RS 4", ".nf", _roff(example), ".fi", ".RE")
        for parameter in command.params:
            if parameter.name == "help":
                continue
            names, value = names_and_value(parameter)
            shown = rf" \fI{_roff(value)}\fR" if value else ""
            yield from (".TP", rf"\fB{_roff(', '.join(names))}\fR{shown}", _roff(getattr(parameter, "help", "") or ""))
    for title, rows in (("EXIT STATUS", _EXITS), ("ENVIRONMENT", _VARIABLES)):
        yield f'.SH "{title}"'
        for key, meaning in rows.items():
            yield from (".TP", f".B {key}", _roff(meaning))
    yield from (".SH FILES", r"\fI$XDG_STATE_HOME/edge\-expose\fR: backups, and the state of local mode.")


def _roff(text: str) -> str:
    """Text that roff prints as it stands, also at the head of a line. An empty line would end a paragraph."""
    plain = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{plain}" if not plain or plain[0] in ".'" else plain


def main(arguments: list[str]) -> int:
    file = Path(arguments[0])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page())
    print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
