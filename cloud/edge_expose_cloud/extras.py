"""What the extras of the distribution bring, for a command that finds itself without one. Standard library alone."""

from __future__ import annotations

import importlib.util
from typing import Final

PACKAGES: Final = {
    "cloud": ("typer", "rich", "yaml"),
    "portal": ("argon2", "fastapi", "jinja2", "uvicorn"),
    "local": ("edge_expose_local", "h11", "OpenSSL"),
}
"""Extra -> what no other extra brings."""


def missing(extra: str) -> str:
    """What to say of an extra that is not installed; empty when it is."""
    absent = [name for name in PACKAGES.get(extra, ()) if importlib.util.find_spec(name) is None]
    if not absent:
        return ""
    return (
        f"✗ error edge-expose is installed without its extra `{extra}` ({', '.join(absent)} missing)\n"
        f"    try: pip install 'edge-expose[{extra}]', or pip install '.[{extra}]' in a checkout"
    )
