"""Templates: escaped everywhere, no inline script or style, and the few filters that pages use."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from edge_expose_cloud.plan.render import short_text_of
from edge_expose_cloud.portal.paths import exposure_path
from edge_expose_contract.fields import FIELD
from edge_expose_contract.reason_table import MEANINGS

HERE: Final = Path(__file__).parent.parent
STATIC: Final = HERE / "static"
_MARKS: Final = {
    "Ready": "●",
    "Pending": "◌",
    "Blocked": "✕",
    "Failed": "✕",
    "Expired": "○",
    "Disabled": "○",
    "Online": "●",
    "Offline": "◇",
    "No module": "–",
    "Predicted": "?",
}


@functools.cache
def environment() -> Environment:
    """Compiled once a process."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["named"] = lambda name: name or "(no name)"
    made.filters["seg"] = lambda text: quote(str(text), safe="")
    made.filters["mark"] = lambda state: _MARKS.get(state, "?")
    made.filters["said"] = short_text_of
    made.filters["ago"] = ago
    made.filters["meaning"] = lambda reason: MEANINGS.get(reason, reason)
    made.filters["clock"] = clock
    made.filters["when"] = when
    made.filters["slug"] = lambda state: str(state).lower().replace(" ", "-") if str(state) in _MARKS else "unknown"
    made.globals["exposure_path"] = exposure_path
    made.globals["asset"] = _asset_urls()
    made.globals["field"] = FIELD
    return made


def _asset_urls() -> dict[str, str]:
    """Name -> URL with the content's hash, so that an old copy is never used with a new page."""
    return {
        path.name: f"/static/{path.name}?{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        for path in sorted(STATIC.iterdir())
        if path.is_file()
    }


def ago(at: float, now: float | None = None) -> str:
    """`3 s ago`; "never" for 0."""
    if not at:
        return "never"
    seconds = max(0, int((time.time() if now is None else now) - at))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def clock(value: Any) -> str:
    """An RFC 3339 text, a time or Unix seconds as `2026-11-22 04:00:00 UTC`; other texts stay as they are."""
    try:
        if isinstance(value, (int, float)):
            moment = dt.datetime.fromtimestamp(value, dt.UTC)
        elif isinstance(value, dt.datetime):
            moment = value
        else:
            moment = dt.datetime.fromisoformat(str(value))
        return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return str(value)


def when(value: Any) -> Markup:
    """The same for a page, where the reader's own time takes its place and UTC stands beside it."""
    text = clock(value)
    if not text.endswith(" UTC"):
        return escape(text)
    return Markup('<time datetime="{}Z" title="{}">{}</time>').format(text[:-4].replace(" ", "T"), text, text)
