"""Measures as pure functions of arrays: errors, precision, pairs, steadiness, and goals that they are to keep."""
