"""The spec that people write: model, reading, variables, inventory, presets, checks, capacity. Pure, no I/O."""
