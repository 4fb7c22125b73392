"""What a source's name says of it, without opening it."""

import re

_STREAM = re.compile(r"(rtsps?|rtmps?|rtp|https?|udp|tcp|srt)://", re.IGNORECASE)


def kind_of(source: str) -> str:
    """Its kind: "device" (an index such as "0", or /dev/videoN), "stream" (rtsp://, http:// and the like), "pipeline"
    of GStreamer ("... ! appsink"), or "file" (a video, a folder of images; file:// too)."""
    if re.fullmatch(r"\d+", source) or source.startswith("/dev/"):
        return "device"
    if _STREAM.match(source):
        return "stream"
    return "pipeline" if re.search(r"\s!\s", source) else "file"
