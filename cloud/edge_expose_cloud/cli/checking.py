"""Commands that need no hub: validate, render, services, ranges, schema."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any

import typer

from edge_expose_cloud.capacity import Capacity, capacity, rehearse_range
from edge_expose_cloud.cli.files import Source, is_template, read_source, read_spec, spec_from_source
from edge_expose_cloud.cli.files import read_inventory as _inventory
from edge_expose_cloud.cli.guarding import guarded
from edge_expose_cloud.cli.options import Auth, ConnectionFile, Fleet, HubHost, Output, SpecFile, UsageProblem, connect
from edge_expose_cloud.cli.output import Format, count_words, data, err, escape, out, say, show_findings, table
from edge_expose_cloud.edge_agent import SERVICE_TYPES, predict_services
from edge_expose_cloud.findings import Finding, has_errors, in_reading_order
from edge_expose_cloud.inventory import Inventory
from edge_expose_cloud.manifest import manifest_text, render
from edge_expose_cloud.manifest_checking import budgets, check_manifest
from edge_expose_cloud.rendered import check_rendered
from edge_expose_cloud.spec import Network, Spec
from edge_expose_cloud.usecases.problems import InputError
from edge_expose_cloud.variables import resolve_secrets
from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.violations import RuleError

app = typer.Typer(add_completion=False)


@app.command()
@guarded
def validate(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A spec (YAML) or a deployment manifest (JSON), or - for stdin.")
    ],
    fleet: Fleet = None,
    output: Output = Format.TABLE,
) -> None:
    """Check a spec or a deployment manifest; every violation at once. Exit 2 when there is an error.

    Example: edge-expose validate two-tier.yaml
    """
    try:
        findings = _violations(file, fleet)
    except InputError as error:
        findings = error.findings
    if output is not Format.TABLE:
        data({"violations": [item.to_json() for item in findings]}, output)
    else:
        show_findings(findings, out())
    say(f"{file}: {count_words(findings)}")
    if has_errors(findings):
        raise typer.Exit(2)


def _violations(file: str, fleet: str | None) -> list[Finding]:
    source = read_source(file)
    locate = source.document.locate
    if source.is_manifest:
        return in_reading_order(locate(item) for item in check_manifest(source.manifest()))
    if fleet and is_template(source):
        return _each_device(source, _inventory(fleet))
    loaded = spec_from_source(source, _inventory(fleet) if fleet else None)
    if loaded.spec is None:
        return loaded.findings
    known = {(item.rule, item.path) for item in loaded.findings}
    rendered = [item for item in check_rendered(loaded.spec) if (item.rule, item.path) not in known]
    return in_reading_order([*loaded.findings, *loaded.located(rendered)])


def _each_device(source: Source, inventory: Inventory) -> list[Finding]:
    """A spec for `${deviceId}` as each device sees it; what is wrong for many is shown once, with the first of them."""
    found: dict[tuple[str, str, int], Finding] = {}
    for device in sorted(inventory.devices):
        loaded = spec_from_source(source, inventory, device)
        for item in loaded.findings:
            found.setdefault(
                (item.rule, item.path, item.line), replace(item, message=f"device {device}: {item.message}")
            )
    return in_reading_order(found.values())


@app.command(name="render")
@guarded
def render_command(
    file: SpecFile,
    fleet: Fleet = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="ID", help="For a spec with target: {device: ${deviceId}}.")
    ] = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Fill in ${env:NAME}; refused on a terminal.")
    ] = False,
    budget: Annotated[bool, typer.Option("--budget", help="Also say how much of each twin's 32 KB is used.")] = False,
) -> None:
    """Print the deployment manifest of a spec, byte for byte the same every time.

    Example: edge-expose render two-tier.yaml > two-tier.json
    """
    import os
    import sys

    from edge_expose_cloud.usecases.planning import require_spec
    from edge_expose_cloud.usecases.resolving import resolve_spec

    source = read_source(file)
    loaded = spec_from_source(source, _inventory(fleet) if fleet else None, device)
    spec = require_spec(loaded)
    if with_secrets:
        if sys.stdout.isatty():
            raise UsageProblem("secrets are not written to a terminal", "redirect the output into a file")
        with source.locating():
            spec = resolve_spec(spec, os.environ)
    show_findings(loaded.findings, err())
    # References stay, and what only reads like one is written as it will be sent.
    document, _ = resolve_secrets(render(spec), "${{env:{}}}".format)
    sys.stdout.write(manifest_text(document))
    if budget:
        for meter in budgets(document["modulesContent"]):
            say(f"{meter.module}: {meter.bytes} of {meter.limit} bytes ({meter.percent} %)")


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
        str | None, typer.Option("--device", help="Device id, for the deviceid label and selector.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", help="Namespace of the device, such as iotedge.")
    ] = None,
    extensions: Annotated[
        bool, typer.Option("--extensions/--no-extensions", help="Whether the agent reads k8s-experimental.")
    ] = True,
    output: Output = Format.TABLE,
) -> None:
    """Predict the Services that edgeAgent on Kubernetes makes from a manifest, and what gets lost. Exit 2 on errors.

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


@app.command()
@guarded
def ranges(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="A spec; or use --device.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="Look at what this device holds now.")] = None,
    rehearse: Annotated[
        str | None,
        typer.Option("--rehearse", metavar="RANGE", help="What would move if the external range became this."),
    ] = None,
    fleet: Fleet = None,
    every_device: Annotated[
        bool, typer.Option("--every-device", help="A row for each device of the inventory (--fleet), without a hub.")
    ] = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Addresses needed, shared, reserved and free; and a rehearsal of another range.

    Example: edge-expose ranges two-tier.yaml --rehearse 10.0.0.20-10.0.0.29
    """
    from edge_expose_cloud.usecases.planning import require_spec
    from edge_expose_cloud.usecases.ranging import device_ranges

    if (file is None) == (device is None):
        raise UsageProblem("give a spec FILE or --device, one of them", "edge-expose ranges two-tier.yaml")
    pool = _parse_range(rehearse)
    if every_device:
        if file is None or fleet is None:
            raise UsageProblem("--every-device needs a spec FILE and --fleet", "edge-expose ranges SPEC --fleet FLEET")
        _fleet_ranges(file, fleet, output)
        return
    if file is not None:
        spec = read_spec(file, fleet).spec or require_spec(read_spec(file, fleet))
        network, exposures = spec.network, spec.exposures
        held = {name: item.addresses for name, item in spec.exposures.items() if item.addresses}
    else:
        network, exposures, held = device_ranges(connect(connection_string_file, hub, auth), device or "")
    report = capacity(network, exposures, pool)
    moves = rehearse_range(network, held, _with_pools(network, pool)) if pool is not None else []
    body = {
        **report.to_json(),
        "moves": [{"exposure": move.exposure, "address": move.address, "why": move.why} for move in moves],
    }
    if output is not Format.TABLE:
        data(body, output)
        return
    out().print(
        table(
            ("POOL", "RANGE", "SIZE", "NEEDED", "SHARED", "RESERVED", "FREE", "FIRST WITHOUT"),
            [_capacity_row("-", report), *(_capacity_row(name, row) for name, row in report.pools.items())],
        )
    )
    if pool is not None:
        out().print(
            table(("EXPOSURE", "ADDRESS", "MOVES BECAUSE"), [(move.exposure, move.address, move.why) for move in moves])
        )


def _capacity_row(pool: str, row: Capacity) -> list[str]:
    counts = (row.ranges, row.size, row.needed, row.shared, row.reserved, row.free, row.overflow or "-")
    return [escape(str(value)) for value in (pool, *counts)]


def _with_pools(network: Network | None, ranges: AddressSet) -> AddressSet:
    """`ranges` and the named pools, which stay when the external range changes."""
    named = network.named_pools.values() if network is not None else ()
    return AddressSet.of([part for addresses in (ranges, *named) for part in addresses.ranges])


def _fleet_ranges(file: str, fleet: str, output: Format) -> None:
    from edge_expose_cloud.cli.members import show_members
    from edge_expose_cloud.usecases.fleet_plans import rehearse_members
    from edge_expose_cloud.usecases.planning import require_spec

    inventory = _inventory(fleet)
    source = read_source(file)
    # The ranges are looked at device by device: one that is too small is a row of the answer, not an error.
    bare = {name: device.model_copy(update={"network": None}) for name, device in inventory.devices.items()}
    variables = inventory.model_copy(update={"devices": bare})
    kept: list[Spec] = []

    def spec_of(device: str) -> Spec:
        # A spec for a condition is the same for every device: it is read once.
        if kept and kept[0].target.device is None:
            return kept[0]
        loaded = spec_from_source(source, variables, None if _is_condition(source) else device)
        kept[:] = [loaded.spec or require_spec(loaded)]
        return kept[0]

    show_members(len(inventory.devices), rehearse_members(inventory, spec_of), {}, output)


def _is_condition(source: Source) -> bool:
    target = source.document.data.get("target") if isinstance(source.document.data, dict) else None
    return isinstance(target, dict) and target.get("condition") is not None


def _parse_range(text: str | None) -> AddressSet | None:
    if text is None:
        return None
    try:
        return AddressSet.parse([part.strip() for part in text.split(",")])
    except RuleError as error:
        raise UsageProblem(f"--rehearse: {error.message}", error.hint) from error


@app.command()
@guarded
def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Which schema; without a name they are listed.")
    ] = None,
) -> None:
    """Print a JSON Schema: of the spec, the inventory, the module's twin, or a manifest section.

    Example: edge-expose schema spec > spec.schema.json
    """
    from edge_expose_cloud.schemas import all_schemas

    known = all_schemas()
    if name is None:
        for key in known:
            typer.echo(key.removesuffix(".schema.json"))
        return
    found = known.get(f"{name}.schema.json") or known.get(name)
    if found is None:
        raise UsageProblem(f"there is no schema {name!r}", ", ".join(key.removesuffix(".schema.json") for key in known))
    typer.echo(json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False))
