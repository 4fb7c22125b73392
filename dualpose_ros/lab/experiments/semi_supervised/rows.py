"""The rows of the paper's Table 4: what each learns from besides the labelled domain."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """What of Eq. 11 acts on the unlabelled domain; `labels`: its truth instead, for comparison."""

    reprojection: bool = False
    perspective: bool = False
    adversarial: bool = False
    labels: bool = False

    @property
    def unlabelled(self) -> bool:
        """Whether the unlabelled domain is looked at without its truth."""
        return self.reprojection or self.perspective or self.adversarial


ROWS: Mapping[str, Terms] = {
    "none": Terms(),
    "rep": Terms(reprojection=True),
    "mp": Terms(perspective=True),
    "rep_dis": Terms(reprojection=True, adversarial=True),
    "rep_mp_dis": Terms(reprojection=True, perspective=True, adversarial=True),
    "full": Terms(labels=True),
}
"""Those of Table 4, and the two that they are measured against."""
