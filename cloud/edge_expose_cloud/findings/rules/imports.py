"""Rules of `import` and `export`: how a spec may differ from the manifest it was made of. Pure data.

`DIFFERENCES` is the closed list: anything else that rendering the spec does not give back is a defect. Each is named on
stderr where it occurs, and docs/reference/import.md is generated from it.
"""

from __future__ import annotations

from typing import Literal

Row = tuple[str, Literal["error", "warning", "info"], str, str]

DIFFERENCES: tuple[Row, ...] = (
    (
        "ImportPassword",
        "info",
        "A text of registry credentials became a reference, ${env:NAME}.",
        "Set the variable before applying.",
    ),
    (
        "ImportReference",
        "warning",
        "A text of the manifest that reads like a reference, ${env:NAME}, stays one.",
        "It is filled in from the environment when something is sent; write $${ where it is plain text.",
    ),
    (
        "ImportNull",
        "warning",
        "A key whose value is null is left out.",
        "null takes a key away; nothing is to be done where the key was not there before.",
    ),
    (
        "ImportForm",
        "warning",
        "A section that is not an object, or a key in it that IoT Hub refuses, is left out.",
        "Correct the manifest; edge-expose validate names each of them.",
    ),
    (
        "ImportChange",
        "info",
        "Who wrote the document of edge-expose, and when, is left out.",
        "Each apply writes its own.",
    ),
    (
        "ImportName",
        "info",
        "The id of the deployment cannot be the name of a spec, and was changed.",
        "Use lower-case letters, digits and - + % _ * ! ', at most 128; or give --name.",
    ),
    (
        "ImportTarget",
        "warning",
        "The manifest does not name its target, and the spec has to.",
        "Set target.condition and target.priority to those of the deployment.",
    ),
    (
        "ImportLabels",
        "info",
        "A label that edge-expose writes itself, or one that is not text, is left out.",
        "Each apply writes its own labels; write the others as text.",
    ),
    (
        "ImportAround",
        "info",
        "What stands beside the modules content is left out, such as metrics and $schema-template.",
        "Keep the file if another tool needs it; apply writes metrics of its own.",
    ),
)

ROWS: tuple[Row, ...] = (
    *DIFFERENCES,
    (
        "ImportKept",
        "info",
        "Something that a spec has no field for.",
        "It stands under keep: and is rendered as it was; move it to a field where there is one.",
    ),
    (
        "ImportLost",
        "warning",
        "Something that a spec cannot say, and that is none of the known differences.",
        "Keep the manifest beside the spec, and report this: it is a defect of edge-expose.",
    ),
)
