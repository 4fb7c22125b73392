"""What kind of numbers an array holds: one name for each, used all over the package.

Shapes, units and frames stand in the docstring of whoever takes or gives an array.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

AnyArray: TypeAlias = npt.NDArray[Any]
AnyFloats: TypeAlias = npt.NDArray[np.floating]  # of any precision: what a function accepts
AnyInts: TypeAlias = npt.NDArray[np.integer]
Floats: TypeAlias = npt.NDArray[np.float64]  # what is computed with
Float32s: TypeAlias = npt.NDArray[np.float32]  # what networks and files hold
Ints: TypeAlias = npt.NDArray[np.int64]
Int32s: TypeAlias = npt.NDArray[np.int32]
UInt8s: TypeAlias = npt.NDArray[np.uint8]
Indices: TypeAlias = npt.NDArray[np.intp]  # rows of another array
Mask: TypeAlias = npt.NDArray[np.bool_]
RgbImage: TypeAlias = npt.NDArray[np.uint8]  # (height, width, 3), red first
