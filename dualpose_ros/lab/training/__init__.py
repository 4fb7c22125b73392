"""What `dualpose train` does: a room for each network, the loop that they share, and losses, settings and geometry."""
