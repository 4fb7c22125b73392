"""Times the rendering of labelled patches, as `dualpose bench synth` reports it."""

from pathlib import Path

from dualpose_ros.lab.evaluation.report import Outcome, evaluation
from dualpose_ros.metrics.goals import Goal, judged

GOAL_PATCHES_PER_S = 30.0
_SIZE = 256


@evaluation("synth")
def bench_synth(body: Path | None, mocap: Path | None, repeats: int) -> Outcome:
    """CPU milliseconds of patches with and without their world, and the ratio to a blur of the same size."""
    from dualpose_ros.lab.synthetic.scenes.generate import measure_patch_rate
    from dualpose_ros.lab.synthetic.scenes.world import WorldConfig

    figures = measure_patch_rate(WorldConfig(body=body, mocap=mocap), _SIZE, repeats)
    per_second = round(figures["patches_per_s"], 1)
    row = {
        "what": f"patch of {_SIZE} px, {'mesh by path' if body else 'built-in body'}",
        "patches": repeats,
        "per_s_and_core": per_second,
        "ms": round(figures["patch_ms"], 2),
        "ms_quartiles": f"{figures['patch_ms_low']:.3g}..{figures['patch_ms_high']:.3g}",
        "ratio_to_blur": round(figures["ratio"], 1),
        "world_s": round(figures["world_s"], 2),
    }
    goal = Goal("labelled patches/s a core at 256", per_second, least=GOAL_PATCHES_PER_S)
    return {"patches": [row]}, judged([goal])
