"""Where joints seem to be under clothes and hair: a few centimetres off, for as long as somebody is seen. Needs torch.

N sequences, M frames, K joints of `skeleton.H36M17`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dualpose_ros.lab.training.lifting.bodies import MIRROR, PARENTS, by_part
from dualpose_ros.lab.training.lifting.dice import Dice
from dualpose_ros.settings import Settings, setting, share
from dualpose_ros.skeleton import H36M17, K

_NAMES = H36M17.joint_names
_THORAX = H36M17.index("thorax")
_SHOULDERS = [name.endswith("shoulder") or name == "thorax" for name in _NAMES]
_HIPS = [name.endswith("hip") or name == "pelvis" for name in _NAMES]
# Standard deviations, as shares of the torso's length and of the bone's. In a real video the shoulders of a woman with
# long hair seem some 7 cm lower than they are.
_UP = by_part({"spine": 0.16, "neck": 0.1, "head_top": 0.16})
_ALONG = by_part({"shoulder": 0.16, "hip": 0.4, "knee": 0.12, "ankle": 0.1, "elbow": 0.12, "wrist": 0.12})
_GIRDLE_UP, _JOINT_UP = 0.16, 0.06


@dataclass(frozen=True)
class ClothesConfig(Settings):
    """How far off joints seem under clothes and hair."""

    dressed: float = share(0.45, "share of people with 2D errors whose joints seem a little elsewhere all the time")
    amount: float = setting(1.0, "how far off: at 1, shoulders and hips of an adult some 7 cm up or down", least=0)


def seeming(joints: Tensor, config: ClothesConfig, dice: Dice) -> Tensor:
    """Joints (N, M, K, 3) where they seem to be: moved with the body along the torso and along their own bones.

    Shoulders move together, and so do hips, up or down the torso: a coat or long hair leaves no more to see. Both get
    wider or narrower, and limbs longer or shorter, on both sides alike.
    """
    n = len(joints)
    girdles = joints.new_tensor([_SHOULDERS, _HIPS])
    up = _GIRDLE_UP * dice.normal((n, 2)) @ girdles + _JOINT_UP * dice.normal((n, K)) * girdles.sum(dim=0)
    up = up + dice.normal((n, K)) * joints.new_tensor(_UP)
    along = dice.normal((n, K))
    along = 0.8 * 0.5**0.5 * (along + along[:, MIRROR]) + 0.6 * dice.normal((n, K))
    along = along * joints.new_tensor(_ALONG)
    level = config.amount * torch.exp(dice.normal((n, 1), 0.0, 0.4)) * dice.happens((n, 1), config.dressed)
    torso = joints[:, :, _THORAX] - joints[:, :, H36M17.root]
    bones = joints - joints[:, :, PARENTS]
    return joints + (level * up)[:, None, :, None] * torso[:, :, None] + (level * along)[:, None, :, None] * bones
