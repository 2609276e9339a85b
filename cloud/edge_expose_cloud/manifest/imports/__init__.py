"""From a manifest back to a spec, and how the two differ. Pure, no I/O."""
