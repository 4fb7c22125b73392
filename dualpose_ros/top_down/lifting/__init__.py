"""Joints in the image over time to a person in 3D: completion by the GCN, then the TCN, then the root's place."""
