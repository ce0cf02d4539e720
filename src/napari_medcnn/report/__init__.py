"""Results to tables, run records and pictures that people and other programs read."""
