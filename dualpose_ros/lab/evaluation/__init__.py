"""What `dualpose eval` measures: a module or a room for each, and what they share."""
