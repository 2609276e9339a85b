"""Plain data as YAML in block style, which reads back as the same data. Pure."""

from __future__ import annotations

import io
import json
import re
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

# Line breaks of Unicode, marks and controls: only in double quotes, escaped, do they come back as they were.
_ESCAPED: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def yaml_text(value: Any) -> str:
    """Keys in the order given; JSON types only."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(_quoted(json.loads(json.dumps(value))), stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    match value:
        case dict():
            return {_quoted(key): _quoted(item) for key, item in value.items()}
        case list():
            return [_quoted(item) for item in value]
        case str() if _ESCAPED.search(value) or value == "<<":  # which would merge mappings
            return DoubleQuotedScalarString(value)
        case _:
            return value
