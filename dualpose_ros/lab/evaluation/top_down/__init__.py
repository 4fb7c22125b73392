"""`dualpose eval top-down`: overlap, hidden joints, time, honesty, speed."""
