"""People on a known ground: what a pose says of where they stand, and the filter that holds it together."""
