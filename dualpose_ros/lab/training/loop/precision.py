"""What keeps its digits in a step that computes in bfloat16. Needs torch."""

import torch


def in_full_precision(device: torch.device) -> torch.autocast:
    """A block whose matrix products keep their digits: at 5 m bfloat16 has steps of 3 cm, at 300 pixels of 2."""
    return torch.autocast(device.type, enabled=False)
