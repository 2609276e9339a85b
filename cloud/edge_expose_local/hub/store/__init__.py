"""All records in memory, which of them changed, and the database that keeps them."""
