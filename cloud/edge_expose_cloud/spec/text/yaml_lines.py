"""Reads YAML or JSON text into plain data and remembers the line of every value. Pure: text in, values out.

A file named .json is JSON and nothing else. So is other text that looks like JSON, unless YAML alone explains it.
"""

from __future__ import annotations

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.spec.text.documents import MAX_BYTES, Document, Lines, document_of
from edge_expose_cloud.spec.text.json_lines import JsonProblem, read_json
from edge_expose_cloud.spec.text.plain_yaml import read_plain_yaml


def read_yaml(text: str, file: str) -> Document | Finding:
    """The document, or the one finding that says why there is none."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return finding("YamlSyntax", "", f"the file is larger than {MAX_BYTES} bytes").at(file, 1)
    by_name = file.lower().endswith(".json") and text.strip() != ""
    if by_name or text.lstrip().startswith(("{", "//", "/*")):
        try:
            return document_of(*read_json(text), file)
        except JsonProblem as problem:
            is_yaml = file.lower().endswith((".yaml", ".yml"))
            if by_name or (problem.known and not is_yaml):
                rule = "DuplicateKey" if problem.duplicate else "YamlSyntax"
                return finding(rule, "", problem.message, hint=problem.hint or None).at(file, problem.line)
    plain = read_plain_yaml(text)
    if plain is not None:
        data, by_path = plain
        return document_of(data, Lines(by_path), file)
    from edge_expose_cloud.spec.text.any_yaml import read_any_yaml

    return read_any_yaml(text, file)
