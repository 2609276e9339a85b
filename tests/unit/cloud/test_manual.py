"""The manual page and the completion of a shell: both come from the commands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_expose_cloud.docsgen.command_tree import commands, names_and_value
from edge_expose_cloud.docsgen.manual import main, page


def test_it_names_every_command_and_option() -> None:
    text = page().replace("\\-", "-")
    for name, command in commands():
        assert f'.SS "{name}"' in text
        for parameter in command.params:
            if parameter.name != "help":
                assert all(word in text for word in names_and_value(parameter)[0]), (name, parameter.name)


def test_no_line_begins_as_a_request_by_chance() -> None:
    known = (".TH", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".nf", ".fi", ".B", ".I")
    requests = [line for line in page().splitlines() if line.startswith((".", "'"))]
    assert [line for line in requests if not line.startswith(known)] == []
    assert all(page().splitlines()), "an empty line would end a paragraph"


def test_groff_has_no_complaint(tmp_path: Path) -> None:
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    file = tmp_path / "man" / "edge-expose.1"
    assert main([str(file)]) == 0
    done = subprocess.run([groff, "-man", "-Tutf8", "-ww", str(file)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "edge-expose rollback" in done.stdout.replace("\b", "")


def test_a_shell_completes_commands() -> None:
    environment = {
        **os.environ,
        "_EDGE_EXPOSE_COMPLETE": "complete_bash",
        "COMP_WORDS": "edge-expose roll",
        "COMP_CWORD": "1",
    }
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'edge-expose'; import edge_expose_cloud.__main__ as m; m.main()",
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["rollback"], done.stderr
