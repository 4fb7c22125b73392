"""The lifting network and the GCN before it: motion, cameras, 2D errors, losses."""
