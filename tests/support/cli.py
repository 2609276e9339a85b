"""The command line in this process, as a person would run it."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from edge_expose_cloud.cli import app


def run(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
    clean = {"IOTHUB_CONNECTION_STRING": "", "EDGE_EXPOSE_HUB_CA": "", "XDG_STATE_HOME": "/nonexistent", **environment}
    return CliRunner().invoke(app, list(arguments), input=stdin, env=clean)


def json_of(result: Result) -> Any:
    return json.loads(result.stdout)
