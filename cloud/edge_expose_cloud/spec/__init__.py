"""The spec that people write: model, loading, variables, inventory, presets, capacity. Pure, no I/O."""
