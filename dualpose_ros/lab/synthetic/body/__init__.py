"""Human bodies: skinned meshes, their shapes, and the rig that poses them."""
