"""People to look at while the graph runs."""
