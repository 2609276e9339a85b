"""Plain data as YAML in block style. Pure."""

from __future__ import annotations

import io
import json
from typing import Any

from ruamel.yaml import YAML


def yaml_text(value: Any) -> str:
    """Keys in the order given; JSON types only."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(json.loads(json.dumps(value)), stream)
    return stream.getvalue()
