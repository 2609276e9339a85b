"""The command line `edge-expose`. Each command lives in a file that is imported only when the command is used, so that
`--help` of one command starts fast and the embedded stand-in is never loaded by others."""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from typing import Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

from edge_expose_cloud.extras import missing

# Command -> (the file that holds it, the line of `--help`): listing commands imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Write a first spec from a preset and a few answers."),
    "validate": ("validate", "Check a spec or a deployment manifest and report every violation."),
    "render": ("render", "Print the deployment manifest of a spec."),
    "services": ("services", "Predict the Services that edgeAgent on Kubernetes makes from a manifest."),
    "ranges": ("ranges", "Count the addresses that are needed and free, and rehearse another range."),
    "schema": ("schema", "Print a JSON Schema."),
    "plan": ("plan", "Show what apply would change and what people would notice."),
    "apply": ("apply", "Plan a change, show it, and send it to IoT Hub."),
    "rollback": ("rollback", "Return to an earlier deployment, or restore a device from its backup."),
    "status": ("status", "Show the exposures of one device, or of every device with the module."),
    "watch": ("watch", "Print a line for every change of an exposure until Ctrl-C."),
    "explain": ("explain", "Explain step by step why an exposure is in its state."),
    "doctor": ("doctor", "Check rights, module, cluster, load balancer and clock, and say what to do."),
    "support-bundle": ("support_bundle", "Write a file with the twins, checks and module log of one device."),
    "expose": ("expose", "Declare one exposure on one device by patching its module twin."),
    "unexpose": ("unexpose", "Withdraw one exposure from one device by patching its module twin."),
    "export": ("export", "Print a spec of what a device runs now."),
    "import": ("import_manifest", "Print the spec of a deployment manifest."),
    "portal": ("portal", "Serve the web page, where apps are exposed without any JSON."),
    "local": ("local", "Run IoT Hub, edge runtime and cluster on this machine."),
}
# Commands with commands of their own.
GROUPS = frozenset({"portal", "local"})


class LazyGroup(TyperGroup):
    """Finds commands by the table above; a list of them is made of the table alone."""

    _listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        self._listing = True
        return super().shell_complete(ctx, incomplete)

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        file, line = COMMANDS.get(cmd_name, ("", ""))
        if not file:
            return None
        if self._listing:
            return TyperCommand(cmd_name, short_help=line)
        told = missing(cmd_name)
        if told:
            return _unavailable(cmd_name, told)
        module = importlib.import_module(f"edge_expose_cloud.cli.{file}")
        found = typer.main.get_command(module.app)
        if cmd_name in GROUPS:
            found.name = cmd_name
            return found
        commands: dict[str, Any] = getattr(found, "commands", {})
        return commands.get(cmd_name, found)  # a file with one command is that command, not a group


def _unavailable(extra: str, told: str) -> Any:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    @app.command(
        name=extra,
        help=f"Not installed (pip install 'edge-expose[{extra}]').",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def unavailable() -> None:
        typer.echo(told, err=True)
        raise typer.Exit(1)

    return typer.main.get_command(app)


app = typer.Typer(
    name="edge-expose",
    cls=LazyGroup,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Fixed external addresses for IoT Edge modules on Kubernetes, declared from the cloud."
    "\n\nExample: edge-expose validate two-tier.yaml",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(version("edge-expose"))
        except PackageNotFoundError:
            typer.echo("unknown (not installed)")
        raise typer.Exit(0)


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    pass


def main() -> None:
    """The entry point of the command. A mistake of ours is one line (a traceback with EDGE_EXPOSE_DEBUG=1): exit 1."""
    # Of what loading a command makes nothing is garbage: looking for some at every turn is time lost.
    gc.set_threshold(20_000, 20, 20)
    # Python has None for a stream that was closed (>&-). Talk may go nowhere, a result may not.
    out: TextIO | None = sys.stdout
    err: TextIO | None = sys.stderr
    if err is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
    if out is None:
        sys.stderr.write("✗ error standard output is closed\n    try: write to a file, or to /dev/null\n")
        sys.exit(1)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that knows fewer characters than we print shows another one, and nothing fails.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except OSError as error:
        if os.environ.get("EDGE_EXPOSE_DEBUG"):
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"✗ error {where}{error.strerror or error}\n    try: check path, permissions and free space\n")
        sys.exit(1)
    except Exception as error:
        if os.environ.get("EDGE_EXPOSE_DEBUG"):
            raise
        text = f"{type(error).__name__}: {error}".split("\n", 1)[0][:300]
        sys.stderr.write(
            f"✗ internal error {text}\n    try: EDGE_EXPOSE_DEBUG=1 shows the traceback; please report it\n"
        )
        sys.exit(1)
