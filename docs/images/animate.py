"""The README's animation: what a run showed in its live view, taken from that page in a headless Chromium.

dualpose run --source demo/clip.mp4 --calibration demo/camera.yaml --every-frame --view --no-browser --out view_out
python docs/images/animate.py view_out/view.rrd --first 2.5 --seconds 6

Needs playwright (pip), and Chromium.
"""

import argparse
import io
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import rerun as rr
from PIL import Image
from playwright.sync_api import sync_playwright
from rerun.chunk import Chunk, RrdReader

from dualpose_ros.view import scene
from dualpose_ros.view.page import HOST, Page, page_url

SIZE = {"width": 880, "height": 560}
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
START_MS, STEP_MS = 30_000, 500
"""How long the page takes to be there, and each of its frames, where no GPU draws them."""


def main() -> None:
    """Write view.webp beside this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", type=Path, help="view.rrd of a run")
    parser.add_argument("--first", type=float, default=0.0, help="second to begin at")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--fps", type=float, default=4.0, help="frames a second of the animation")
    parser.add_argument("--quality", type=int, default=60)
    args = parser.parse_args()
    # The first is taken while the page still loads its image.
    shown = list(screenshots(args.recording, args.first, args.seconds, 1 / args.fps))[1:]
    out, period = Path(__file__).with_name("view.webp"), round(1000 / args.fps)
    shown[0].save(out, save_all=True, append_images=shown[1:], duration=period, loop=0, quality=args.quality, method=6)
    print(f"{out}: {len(shown)} frames, {out.stat().st_size / 1e6:.2f} MB")


def screenshots(recording: Path, first_s: float, seconds: float, step_s: float) -> Iterator[Image.Image]:
    """The page as the recording comes in, at every step."""
    reader = RrdReader(recording)
    chunks = sorted(reader.stream(), key=start_ns)
    begin_ns = min(start for start in map(start_ns, chunks) if start > 0) + round(first_s * 1e9)
    port, shown = free_port(), rr.RecordingStream("dualpose_ros")
    page = Page(port)
    shown.set_sinks(rr.GrpcServerSink(HOST, port + 1), default_blueprint=scene.layout())
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            tab = browser.new_page(viewport=SIZE)
            at_ns = begin_ns
            while at_ns <= begin_ns + seconds * 1e9:
                due = [chunk for chunk in chunks if start_ns(chunk) <= at_ns]
                chunks = chunks[len(due) :]
                rr.send_chunks(due, recording=shown)
                shown.flush()
                if at_ns == begin_ns:
                    tab.goto(page_url(port), wait_until="commit")
                    tab.wait_for_timeout(START_MS)
                tab.wait_for_timeout(STEP_MS)
                yield Image.open(io.BytesIO(tab.screenshot(timeout=90_000))).convert("RGB")
                at_ns += round(step_s * 1e9)
            browser.close()
    finally:
        shown.disconnect()
        page.close()


def start_ns(chunk: Chunk) -> int:
    """When what a chunk holds was first seen; 0 of what holds always."""
    batch = chunk.to_record_batch()
    if scene.TIMELINE not in batch.schema.names:
        return 0
    return min(batch.column(scene.TIMELINE).cast(pa.int64()).to_pylist())


def free_port() -> int:
    """A port that nobody uses, as hopefully the next one."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
