"""How far two engines' answers are apart, on inputs made up to fit a network."""

from collections.abc import Mapping

import numpy as np

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.engine import Arrays, Engine, TensorSpec


def example_inputs(specs: Mapping[str, TensorSpec], rows: int, cells: int, seed: int = 0) -> Arrays:
    """Random inputs of a network: `rows` on free axes, `cells` times the multiple on an axis that has to be one.

    Bytes take any value, floats a standard deviation of 0.5.
    """
    rng = np.random.default_rng(seed)
    inputs: Arrays = {}
    for name, spec in specs.items():
        shape = [_length(size, rows, cells) for size in spec.shape]
        if spec.dtype == np.uint8:
            inputs[name] = rng.integers(0, 256, shape, dtype=np.uint8)
        else:
            inputs[name] = np.asarray(rng.normal(0, 0.5, shape).astype(spec.dtype))
    return inputs


def _length(size: int | str, rows: int, cells: int) -> int:
    if isinstance(size, int):
        return size
    multiple, star, _ = size.partition("*")
    return int(multiple) * cells if star else rows


def difference(found: Mapping[str, AnyArray], expected: Mapping[str, AnyArray]) -> dict[str, float]:
    """Largest difference of each output, relative to max(1, max |value|); infinite for NaN or another shape."""
    result = {}
    for name, reference in expected.items():
        value = found.get(name)
        if value is None or value.shape != reference.shape or not np.isfinite(value).all():
            result[name] = float("inf")
            continue
        error = np.abs(value.astype(np.float64) - reference.astype(np.float64))
        result[name] = float(error.max(initial=0.0)) / max(1.0, float(np.abs(reference).max(initial=0.0)))
    return result


def worst_difference(engine: Engine, reference: Engine, batches: tuple[int, ...] = (1, 3), cells: int = 3) -> float:
    """The largest `difference` of any output between two engines of one network, over batches of random input.

    Axes that both engines fix keep their size; networks of images run at `cells` times their multiple.
    """
    worst = 0.0
    for seed, rows in enumerate(batches):
        inputs = example_inputs(reference.inputs, rows, cells, seed)
        worst = max(worst, *difference(engine.run(inputs), reference.run(inputs)).values())
    return worst
