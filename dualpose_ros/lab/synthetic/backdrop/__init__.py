"""What stands behind people: rooms, streets, nature, flat pictures, and the materials that they are painted with."""
