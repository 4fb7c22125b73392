"""Refinement: each track's recent poses, made consistent with each other and with the 2D joints."""
