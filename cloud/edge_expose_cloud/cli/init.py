"""The command that writes a first spec: init."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import UsageProblem
from edge_expose_cloud.cli.shared.output import count_words, err, say, show_findings
from edge_expose_cloud.findings.finding import has_errors
from edge_expose_cloud.spec.load import load_spec
from edge_expose_cloud.spec.presets import PRESETS, Answers, spec_from_preset

app = new_app()


@app.command()
@guarded
def init(
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="File to write, or - for stdout.")] = "spec.yaml",
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="NAME", help=f"{', '.join(PRESETS)}. Prompts if omitted.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="Device id.")] = None,
    range_: Annotated[
        str | None, typer.Option("--range", metavar="RANGE", help="Kubernetes external service IPs of the device.")
    ] = None,
    nodes: Annotated[str | None, typer.Option("--nodes", metavar="RANGE", help="Kubernetes node IPs.")] = None,
    address: Annotated[
        str | None, typer.Option("--address", metavar="IP", help="Fixed address within the range.")
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="Image of the app.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the spec. Default: the file name.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a first spec from a preset and a few answers. Answers that no option gives are asked for at a terminal.

    Example: edge-expose init app.yaml --preset web --device edge1 --range 10.0.0.10-10.0.0.20 --nodes 10.0.0.1-10.0.0.2
    """
    ask = sys.stdin.isatty()
    if preset is None and ask:
        for entry in PRESETS.values():
            say(f"{entry.name}: {entry.what}")
    chosen = _answer(preset, "Preset", "web", ask)
    if chosen not in PRESETS:
        raise UsageProblem(f"there is no preset {chosen!r}", ", ".join(PRESETS))
    path = Path(file)
    if file != "-" and path.exists() and not force:
        raise UsageProblem(f"{file} is there already", "choose another name, or add --force")
    answers = Answers(
        name=name or (path.stem.lower().replace("_", "-") if file != "-" else chosen),
        device=_answer(device, "Device id", "edge1", ask),
        external=_answer(range_, "External service IPs (empty: the load balancer's own)", "", ask),
        nodes=_answer(nodes, "Node IPs (empty: not checked)", "", ask),
        address=_answer(address, "Fixed address (empty: chosen once, then kept)", "", ask),
        image=image or "",
    )
    text = spec_from_preset(PRESETS[chosen], answers)
    loaded = load_spec(text, file)
    if has_errors(loaded.findings):
        show_findings(loaded.findings, err())
        say(f"{count_words(loaded.findings)}; nothing was written")
        raise typer.Exit(2)
    if file == "-":
        sys.stdout.write(text)
    else:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageProblem(f"{file} cannot be written: {error.strerror}", "choose another place") from error
        say(f"written: {file}")
    show_findings(loaded.findings, err())
    if file != "-":
        say(f"next: edge-expose plan {file}")


def _answer(given: str | None, question: str, default: str, ask: bool) -> str:
    if given is not None:
        return given
    if not ask:
        return default
    return str(typer.prompt(question, default=default, show_default=bool(default), err=True)).strip()
