"""The nodes in one process, which hand each other messages as they are instead of sending them."""
