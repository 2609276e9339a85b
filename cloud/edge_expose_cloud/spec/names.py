"""Names that IoT Hub takes for a deployment. Pure."""

from __future__ import annotations

import re
from typing import Final

LONGEST_NAME: Final = 128
_NAME: Final = re.compile(r"[a-z0-9+%_*!'-]{1,128}")


def is_deployment_name(text: str) -> bool:
    """Whether a text can be the id of a deployment, or the beginning of one."""
    return _NAME.fullmatch(text) is not None


def deployment_name(text: str) -> str:
    """The text as it is where it can be a name; else the nearest one that can."""
    if is_deployment_name(text):
        return text
    return re.sub(r"[^a-z0-9+%_*!'-]+", "-", text.lower()).strip("-")[:LONGEST_NAME] or "imported"
