"""Between the fields of a form and the change they stand for."""
