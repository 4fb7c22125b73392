"""What makes a node manageable: its states, and parameters that change while it runs."""
