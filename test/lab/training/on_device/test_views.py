import cv2
import numpy as np
import torch
from torch import Tensor

from dualpose_ros.lab.training.on_device.views import (
    Draws,
    PhotometryConfig,
    at_points,
    cover,
    end_of_picture,
    inverse_views,
    move_boxes,
    move_points,
    photometry,
    show,
    similarity_views,
)


def views(count: int = 5, size: int = 24) -> Tensor:
    draws = Draws(3, "cpu")
    return similarity_views(
        draws.uniform(count, 2, low=10, high=30),
        draws.uniform(count, low=15, high=40),
        draws.normal(count, stddev=0.5),
        draws.chance(0.5, count),
        draws.uniform(count, low=0.8, high=1.3),
        size,
    )


def test_a_view_shows_what_warping_does() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 40, 44, 3), dtype=np.uint8)
    image = np.stack([cv2.GaussianBlur(one, (0, 0), 2) for one in noise])
    view = views()
    found = show(torch.from_numpy(image), view, (24, 24)).permute(0, 2, 3, 1).numpy()
    for n in range(5):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        matrix = view[n].numpy().astype(np.float64)
        expected = cv2.warpAffine(image[n].astype(np.float32), matrix, (24, 24), flags=flags)
        # OpenCV places samples on a grid of 1/32 pixel.
        assert np.abs(found[n] - expected).mean() < 2


def test_points_go_through_a_view_and_back() -> None:
    view, points = views(), torch.rand(5, 2, 7, 2) * 30
    there = move_points(inverse_views(view), points)
    torch.testing.assert_close(move_points(view, there), points, atol=1e-3, rtol=1e-4)
    middle = torch.full((5, 1, 2), 11.5)
    torch.testing.assert_close(move_points(inverse_views(view), move_points(view, middle)), middle, atol=1e-3, rtol=0)


def test_boxes_bound_the_ellipses_in_them() -> None:
    view = views()
    boxes = torch.tensor([[3.0, 4.0, 20.0, 30.0], [0.0, 0.0, 5.0, 2.0]]).expand(5, 2, 4).contiguous()
    angle = torch.linspace(0, 2 * torch.pi, 2000)
    around = torch.stack([angle.cos(), angle.sin()], -1)
    ellipses = (boxes[..., None, :2] + boxes[..., None, 2:]) / 2 + around * (
        boxes[..., None, 2:] - boxes[..., None, :2]
    ) / 2
    moved = move_points(view, ellipses)
    torch.testing.assert_close(
        move_boxes(view, boxes), torch.cat([moved.amin(2), moved.amax(2)], -1), atol=1e-2, rtol=0
    )


def test_the_same_seed_draws_the_same() -> None:
    x = torch.rand(4, 3, 20, 20)
    first, second, other = (photometry(x, Draws(seed, "cpu"), PhotometryConfig()) for seed in (1, 1, 2))
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert (first != other).any() and first.min() >= 0 and first.max() <= 1


def test_a_look_without_any_change_stays() -> None:
    x = torch.rand(3, 3, 20, 20)
    still = photometry(x, Draws(0, "cpu"), PhotometryConfig(tone=0, coarse=0, blur=0, noise=0))
    torch.testing.assert_close(still, x)


def test_what_covers_is_where_the_mask_says() -> None:
    x = torch.rand(6, 3, 32, 40)
    covered_x, covered = cover(x, Draws(5, "cpu"), 0.8)
    assert covered.any() and not covered.all()
    assert (covered_x == x).all(1)[~covered].all()
    ended = end_of_picture((32, 40), Draws(6, "cpu"), 50, 1.0)
    share = ended.float().mean((1, 2))
    assert share.min() > 0 and share.max() <= 0.32


def test_maps_are_read_at_the_nearest_pixel() -> None:
    maps = torch.arange(2 * 4 * 5).view(2, 4, 5)
    points = torch.tensor([[[[1.4, 2.6], [-3.0, 99.0]]], [[[float("nan"), 0.0], [4.0, 3.0]]]])
    assert at_points(maps, points).tolist() == [[[maps[0, 3, 1], maps[0, 3, 0]]], [[maps[1, 0, 0], maps[1, 3, 4]]]]
