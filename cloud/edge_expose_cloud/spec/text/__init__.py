"""Texts of specs, inventories and manifests: YAML and JSON, with the line of every value. Pure, no I/O."""
