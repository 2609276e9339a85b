"""The command that says why an exposure is in its state: explain."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, HubHost, Output, UsageProblem, connect
from edge_expose_cloud.cli.shared.output import Format, data, escape, out, state_text

app = new_app()


@app.command()
@guarded
def explain(
    exposure: Annotated[str, typer.Argument(metavar="DEVICE/EXPOSURE", help="Exposure to explain.")],
    ask: Annotated[bool, typer.Option("--ask/--no-ask", help="Also ask the module, if it is connected.")] = True,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Explain step by step why an exposure is in its state. Each step that fails says what to try.

    Example: edge-expose explain edge1/web
    """
    from edge_expose_cloud.status.explain import explain_exposure

    device, slash, name = exposure.partition("/")
    if not slash or not device or not name:
        raise UsageProblem(f"{exposure!r} is not DEVICE/EXPOSURE", "edge-expose explain edge1/web")
    found = explain_exposure(connect(connection_string_file, hub, auth), device, name, ask=ask)
    if output is not Format.TABLE:
        data(found.to_json(), output)
        return
    marks = {"ok": "[green]✓[/green]", "wrong": "[red]✗[/red]", "unknown": "[yellow]?[/yellow]"}
    out().print(f"{escape(exposure)}: {state_text(found.state)}")
    for step in found.steps:
        out().print(f"  {marks[step.verdict]} {escape(step.question)} {escape(step.text)}", soft_wrap=True)
        if step.hint:
            out().print(f"      try: {escape(step.hint)}", soft_wrap=True)
