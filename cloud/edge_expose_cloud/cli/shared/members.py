"""What a spec means for each device, printed while it is worked out: a fleet is never held in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from edge_expose_cloud.cli.shared.each_device import with_progress
from edge_expose_cloud.cli.shared.output import Format, data, say
from edge_expose_cloud.plan.fleet import FleetTotals, MemberPlan

# Of a large fleet only devices that lack an address are worth a line each.
_ROWS = 50


def show_members(count: int, members: Iterator[MemberPlan], plan: Mapping[str, Any], output: Format) -> FleetTotals:
    """A row for each device, then the totals. JSON is written device by device; `plan` stands beside `devices`."""
    totals = FleetTotals()
    watched = with_progress(members, count, "planning")
    match output:
        case Format.JSON:
            sys.stdout.write("{" + "".join(f"{json.dumps(key)}: {json.dumps(value)}, " for key, value in plan.items()))
            sys.stdout.write('"devices": [')
            for number, member in enumerate(watched):
                totals.add(member)
                sys.stdout.write((",\n" if number else "\n") + json.dumps(member.to_json()))
            sys.stdout.write('\n], "totals": ' + json.dumps(totals.to_json()) + "}\n")
        case Format.YAML:
            rows = []
            for member in watched:
                totals.add(member)
                rows.append(member.to_json())
            data({**plan, "devices": rows, "totals": totals.to_json()}, output)
        case Format.TABLE:
            _table(count, watched, totals)
    return totals


def _table(count: int, members: Iterator[MemberPlan], totals: FleetTotals) -> None:
    form = "{:<28} {:>9} {:>7} {:>7} {:>9} {:>6}  {}\n"
    sys.stdout.write(form.format("DEVICE", "SERVICES", "NEEDED", "SHARED", "RESERVED", "FREE", "WITHOUT ADDRESS"))
    for member in members:
        totals.add(member)
        addresses = member.addresses
        if count <= _ROWS or addresses.left_over is not None:
            services = f"{member.before}->{member.after}"
            free = str(addresses.free) if addresses.size else "?"
            row = (member.device_id, services, addresses.needed, addresses.shared, addresses.reserved, free)
            sys.stdout.write(form.format(*row, addresses.left_over or "-").rstrip() + "\n")
            for item in member.impact:
                sys.stdout.write(f"  ! {item.text}\n")
    say(
        f"{totals.devices} devices: {totals.created} Services to create, {totals.updated} to update, "
        f"{totals.deleted} to delete; {totals.needed} addresses needed, {totals.shared} exposures share one"
    )
    if totals.first_overflow is not None:
        first = totals.first_overflow
        say(
            f"! {totals.overflowing} devices have too few addresses; the first is {first.device_id}: "
            f"{first.addresses.left_over} gets none"
        )
    if totals.without_ranges:
        say(f"{totals.without_ranges} devices have no known range: their load balancer decides")
