"""How people move: kinematics, gaits, gestures, meetings, scripts, and captured motion on the same body."""
