"""The least-squares problem of a window of one person: its terms, and the Gauss-Newton steps to its solution."""
