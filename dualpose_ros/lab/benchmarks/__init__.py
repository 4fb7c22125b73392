"""What `dualpose bench` times."""
