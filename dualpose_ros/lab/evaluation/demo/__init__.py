"""`dualpose demo`: a run of the graph against the exact truth of its clip."""
