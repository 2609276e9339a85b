"""The command that predicts what edgeAgent makes of a manifest: services."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.files import read_source, spec_from_source
from edge_expose_cloud.cli.shared.options import Output, UsageProblem
from edge_expose_cloud.cli.shared.output import Format, data, err, escape, out, say, show_findings, table
from edge_expose_cloud.findings.finding import Finding, has_errors
from edge_expose_cloud.findings.problems import InputError
from edge_expose_cloud.iotedge.edge_agent import SERVICE_TYPES, predict_services
from edge_expose_cloud.manifest.render import render

app = new_app()


@app.command()
@guarded
def services(
    manifest: Annotated[
        str,
        typer.Argument(metavar="MANIFEST.json", help="A deployment manifest (or a spec with driver: manifest), or -."),
    ],
    default_type: Annotated[
        str,
        typer.Option(
            "--default-type", help="edgeAgent's default: LoadBalancer on Azure Stack Edge, ClusterIP in the Helm chart."
        ),
    ] = "LoadBalancer",
    device: Annotated[
        str | None, typer.Option("--device", help="Device id for the deviceid label and selector.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Namespace of the device, such as iotedge.")
    ] = None,
    extensions: Annotated[
        bool, typer.Option("--extensions/--no-extensions", help="Whether edgeAgent reads k8s-experimental.")
    ] = True,
    output: Output = Format.TABLE,
) -> None:
    """Predict the Services that edgeAgent on Kubernetes makes from a manifest.

    What gets lost is named. Exit 2 on errors.

    Example: edge-expose services deployment.json --default-type ClusterIP -o json
    """
    kinds = {kind.lower(): kind for kind in SERVICE_TYPES}
    if default_type.lower() not in kinds:
        raise UsageProblem(f"--default-type {default_type!r} is not known", ", ".join(SERVICE_TYPES))
    source = read_source(manifest)
    if source.is_manifest:
        document = source.manifest()
        content, prefix = document.content, document.prefix
    else:
        spec = spec_from_source(source, None)
        if spec.spec is None:
            raise InputError(spec.findings)
        content, prefix = render(spec.spec)["modulesContent"], "modulesContent"
        device = device or spec.spec.target.device
    prediction = predict_services(
        content, default_type=kinds[default_type.lower()], device_id=device, extensions=extensions
    )
    findings = [source.document.locate(_prefixed(item, prefix)) for item in prediction.findings]
    items = [] if prediction.plan_rejected else [service.to_json(namespace) for service in prediction.services]
    if output is not Format.TABLE:
        data({"items": items, "findings": [item.to_json() for item in findings]}, output)
    else:
        rows = [_service_row(item) for item in items]
        out().print(table(("SERVICE", "TYPE", "ADDRESS", "PORTS"), rows))
        show_findings(findings, err())
    if prediction.plan_rejected:
        say("edgeAgent would reject this deployment as a whole: no Service is made")
    if has_errors(findings):
        raise typer.Exit(2)


def _prefixed(item: Finding, prefix: str) -> Finding:
    return Finding(item.rule, item.severity, f"{prefix}.{item.path}" if prefix else item.path, item.message, item.hint)


def _service_row(item: dict[str, Any]) -> tuple[str, str, str, str]:
    ports = ", ".join(
        f"{port['port']}:{port.get('targetPort', port['port'])}/{port['protocol'].lower()} ({port['name']})"
        for port in item["spec"]["ports"]
    )
    return (
        escape(item["metadata"]["name"]),
        item["spec"]["type"],
        escape(item["spec"].get("loadBalancerIP") or "-"),
        escape(ports),
    )
