"""Objects, resourceVersion and the history of changes, kept in one file; and the loop that follows them. Does I/O."""
