"""How a plan is shown at a terminal: the lines of `plan.render` as tables."""

from __future__ import annotations

from rich.table import Table

from edge_expose_cloud.cli.shared.output import Format, data, err, escape, out, say, show_findings, table
from edge_expose_cloud.plan.model import Danger, Plan
from edge_expose_cloud.plan.render import MARKS, lines_of


def show_plan(made: Plan, output: Format, *, details: bool = False) -> None:
    """The changes and what they mean, the digest, what was found, and what would need --allow."""
    if output is not Format.TABLE:
        data(made.to_json(), output)
        return
    show_findings(made.findings, err())
    if made.changes:
        show_changes(made, details=details)
        out().print(f"digest {made.digest}", soft_wrap=True)
    else:
        out().print(f"no changes for {made.target}", soft_wrap=True, markup=False)
    for note in made.notes:
        say(note)
    for danger in made.dangers:
        say_danger(danger)


def show_changes(made: Plan, *, details: bool = False) -> None:
    """One line a change, then what people notice; with `details` the fields."""
    out().print(plan_table(made))
    if made.impact:
        out().print("What people notice:")
    for item in made.impact:
        out().print(f"  {item.text}", soft_wrap=True, markup=False)
    if details:
        out().print(details_table(made))


def say_danger(danger: Danger, device: str | None = None) -> None:
    """What is dangerous, and the words that allow it."""
    who = f"{device}: " if device else ""
    say(f"! {who}{danger.what} (needs --allow {danger.kind}={danger.count})")


def plan_table(plan: Plan) -> Table:
    """One line a change; the mark says the action in a character, the word says it again."""
    colours = {"create": "green", "update": "yellow", "delete": "red"}
    rows = [
        (
            f"[{colours[line.action]}]{MARKS[line.action]} {line.action}[/{colours[line.action]}]",
            escape(line.kind),
            escape(line.name),
            escape(line.says),
        )
        for line in lines_of(plan)
    ]
    return table(("ACTION", "KIND", "NAME", "WHAT"), rows)


def details_table(plan: Plan) -> Table:
    """Each field that changes, by its path."""
    rows = [[escape(text) for text in (line.what, *detail)] for line in lines_of(plan) for detail in line.details]
    return table(("CHANGE", "FIELD", "NOW", "THEN"), rows)
