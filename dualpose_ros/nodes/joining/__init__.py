"""Which frame a node works on next, with what: joins of messages by stamp, and the pace of the graph."""
