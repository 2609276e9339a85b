"""What can be wrong with a spec beyond the form of its fields: every check gives findings. Pure, no I/O."""
