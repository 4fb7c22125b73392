"""What a run came to: rates, latency, what each node took, and how that compares with the goals."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualpose_ros.metrics.goals import Goal, judged
from dualpose_ros.paths import write_whole

LIVE_GOALS = (Goal("fps", least=10.0), Goal("latency_ms.p95", most=400.0))
ACCURACY_GOALS = (
    Goal("recall", least=0.9),
    Goal("pck150_rel", least=0.80),
    Goal("root_depth_rel_err", most=0.08),
    Goal("id_switches", most=4.0),
)


@dataclass(frozen=True)
class PoseTimes:
    """Stamps and receptions of the published poses, in nanoseconds, in order of reception."""

    stamps_ns: Sequence[int]
    received_ns: Sequence[int]

    def fps(self) -> float:
        """Poses a second, from the first reception to the last; 0 with fewer than two."""
        if len(self.received_ns) < 2:
            return 0.0
        seconds = (self.received_ns[-1] - self.received_ns[0]) / 1e9
        return (len(self.received_ns) - 1) / seconds if seconds > 0 else 0.0

    def recent_fps(self, count: int = 20) -> float:
        """Poses a second over the last `count` receptions."""
        return PoseTimes((), self.received_ns[-count:]).fps()

    def latency_ms(self) -> dict[str, float | None]:
        """Median and 95th percentile from an image's stamp to the arrival of its poses."""
        if not self.stamps_ns:
            return {"p50": None, "p95": None}
        latency = (np.asarray(self.received_ns) - np.asarray(self.stamps_ns)) / 1e6
        p50, p95 = np.percentile(latency, [50, 95])
        return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def write_summary(path: Path, figures: Mapping[str, Any], goals: Sequence[Goal]) -> None:
    """Write the figures with their goals as JSON, in one step so that no reader sees half of it."""
    record = {**figures, "goals": judged(goals)}
    write_whole(path, json.dumps(plain(record), indent=2, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """JSON's own types: NumPy scalars unwrapped, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
