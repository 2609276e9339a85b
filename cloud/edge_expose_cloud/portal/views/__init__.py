"""What a page shows, read once and without decisions of its own."""
