"""`dualpose eval refinement`: the paper's Table 6, videos, the published solver, honesty, cost."""
