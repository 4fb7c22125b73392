"""Clothes, hair, skin and the patterns on them."""
