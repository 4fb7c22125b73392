"""Readers of COCO and CrowdPose on small files of their true formats."""

import json
from pathlib import Path

import pytest

from dualpose_ros.datasets.published import keypoints
from dualpose_ros.datasets.published.catalogue import open_dataset
from dualpose_ros.datasets.published.truth import DatasetError
from support.published_frames import frames_of


def test_crowdpose_and_coco(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480, "crowdIndex": index}
              for n, index in enumerate((0.05, 0.5, 0.95))]  # fmt: skip
    row = [100.0, 50.0, 2.0] * 13 + [0.0, 0.0, 0.0]
    annotations = [{"id": n, "image_id": n, "bbox": [10, 20, 30, 40], "keypoints": row} for n in range(3)]
    path = tmp_path / "crowdpose_test.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    sequences = open_dataset("crowdpose", tmp_path)
    assert [s.name for s in sequences] == ["easy", "hard", "medium"]
    (frame,) = sequences[2].frames()
    assert frame.people.visible.sum() == 13 and frame.people.area_px[0] == pytest.approx(0.53 * 1200)
    assert frame.people.boxes_px[0].tolist() == [10, 20, 40, 60] and len(keypoints.CROWDPOSE) == 14
    path.write_text(json.dumps({"images": images, "annotations": [annotations[0], annotations[0]]}))
    with pytest.raises(DatasetError, match="image 0: annotation id 0 is there twice"):
        frames_of("crowdpose", tmp_path)
    path.write_text(json.dumps({"images": [*images, images[1]], "annotations": annotations}))
    with pytest.raises(DatasetError, match=r"crowdpose_test\.json: image 1 is there twice"):
        frames_of("crowdpose", tmp_path)
