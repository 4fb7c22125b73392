"""People as the rest of a robot wants them: in its frames, as frames of their own, and as REP-155 has them."""
