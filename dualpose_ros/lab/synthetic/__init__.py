"""A rendered world of people, exact by construction, to train on and to measure against."""
