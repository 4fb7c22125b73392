"""Furniture, street objects, what people carry, and what is in front of the lens."""
