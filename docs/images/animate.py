"""The README's animation and picture, from the overlay of a real run of `dualpose demo`.

python docs/images/animate.py demo_out/overlay.mp4 --first 20 --count 60 --fps 7
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
from PIL import Image

WIDTH = 840


def main() -> None:
    """Write demo.webp, `count` frames of the video from `first` on, and demo.png, the frame `still` of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--still", type=int, default=0)
    parser.add_argument("--fps", type=float, default=7.0, help="frames a second of the animation")
    args = parser.parse_args()
    capture, frames = cv2.VideoCapture(str(args.video)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    folder = Path(__file__).parent
    picture(frames[args.still]).save(folder / "demo.png", optimize=True)
    shown = [picture(frame) for frame in frames[args.first : args.first + args.count]]
    period = round(1000 / args.fps)
    shown[0].save(
        folder / "demo.webp", save_all=True, append_images=shown[1:], duration=period, loop=0, quality=55, method=6
    )


def picture(frame: cv2.typing.MatLike) -> Image.Image:
    """A frame of the video, smaller."""
    height = round(WIDTH * frame.shape[0] / frame.shape[1])
    return Image.fromarray(cv2.cvtColor(cv2.resize(frame, (WIDTH, height), interpolation=cv2.INTER_AREA), 4))


if __name__ == "__main__":
    main()
