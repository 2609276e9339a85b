"""Deployment manifests: rendered from a spec, checked, read back into a spec, shown without secrets. Pure, no I/O."""
