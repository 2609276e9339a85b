"""What the kinds of objects are: names, fields, schemas, selectors, field errors and the two profiles. Does no I/O."""
