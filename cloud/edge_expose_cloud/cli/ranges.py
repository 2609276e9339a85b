"""The command that counts addresses, and rehearses another range: ranges."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.files import Source, read_source, read_spec
from edge_expose_cloud.cli.shared.files import read_inventory as _inventory
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, Fleet, HubHost, Output, UsageProblem, connect
from edge_expose_cloud.cli.shared.output import Format, data, escape, out, table
from edge_expose_cloud.spec.capacity import Capacity, capacity, rehearse_range
from edge_expose_cloud.spec.load import SpecReader
from edge_expose_cloud.spec.model import Network, Spec
from edge_expose_contract.addressing import AddressSet
from edge_expose_contract.violations import RuleError

app = new_app()


@app.command()
@guarded
def ranges(
    file: Annotated[str | None, typer.Argument(metavar="[FILE]", help="Spec to count; or use --device.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="Count what this device holds now.")] = None,
    rehearse: Annotated[
        str | None,
        typer.Option("--rehearse", metavar="RANGE", help="Show what would move if the external range became RANGE."),
    ] = None,
    fleet: Fleet = None,
    every_device: Annotated[
        bool,
        typer.Option("--every-device", help="Print a row for each device of the inventory (--fleet), without a hub."),
    ] = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Count the addresses that are needed and free, and rehearse another range.

    Example: edge-expose ranges two-tier.yaml --rehearse 10.0.0.20-10.0.0.29
    """
    from edge_expose_cloud.usecases.device_ranges import device_ranges
    from edge_expose_cloud.usecases.plan import require_spec

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
    from edge_expose_cloud.cli.shared.members import show_members
    from edge_expose_cloud.usecases.fleet_plans import rehearse_members
    from edge_expose_cloud.usecases.plan import require_spec

    inventory = _inventory(fleet)
    source = read_source(file)
    # The ranges are looked at device by device: one that is too small is a row of the answer, not an error.
    bare = {name: device.model_copy(update={"network": None}) for name, device in inventory.devices.items()}
    variables = inventory.model_copy(update={"devices": bare})
    reader = SpecReader(source.document, variables)
    kept: list[Spec] = []

    def spec_of(device: str) -> Spec:
        # A spec for a condition is the same for every device: it is read once.
        if kept and kept[0].target.device is None:
            return kept[0]
        loaded = reader.read(None if _is_condition(source) else device)
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
