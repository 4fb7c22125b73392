"""From posed meshes to a picture with its ground truth: geometry, depth buffer, light, labels, lens and codec."""
