"""How far limbs are bent."""

import numpy as np


def flexion(joints_m: np.ndarray, parent: int, joint: int, child: int) -> np.ndarray:
    """Flexion (...) in radians of a hinge of joints (..., K, 3): 0 where the limb is straight."""
    a = joints_m[..., joint, :] - joints_m[..., parent, :]
    b = joints_m[..., child, :] - joints_m[..., joint, :]
    cosine = np.sum(a * b, axis=-1) / np.maximum(np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1), 1e-12)
    return np.arccos(np.clip(cosine, -1, 1))
