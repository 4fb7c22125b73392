"""`dualpose eval fusion`: the paper's Tables 3 to 5, matching, a branch lost, speed."""
