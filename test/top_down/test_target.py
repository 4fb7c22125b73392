import numpy as np

from dualpose_ros.skeleton import K
from dualpose_ros.top_down.decode import TARGET_TAG, target_utility


def test_the_person_in_the_box_explains_it_best() -> None:
    rng = np.random.default_rng(0)
    shape = rng.uniform(0, 1, (K, 2)) * (60, 160)
    box = np.array([98.0, 48, 158, 208])
    joints = np.stack([shape + np.array(at) for at in ((98, 48), (30, 60))] + [shape * 0.3 + np.array((110, 100))])
    scores = np.full((3, K), 0.8)
    tags = np.zeros(3)
    utility = target_utility(joints, scores, tags, box)
    assert np.argmax(utility) == 0 and (utility >= 0).all() and (utility <= 4).all()
    # Of two in the same place, the one with the trained tag is the patch's own.
    twins = target_utility(joints[[0, 0]], scores[:2], np.array([TARGET_TAG - 3, TARGET_TAG]), box)
    assert twins[1] > twins[0]
    assert target_utility(joints[:0], scores[:0], tags[:0], box).shape == (0,)
