"""The NVIDIA GPU, as its driver tells, and its memory by NVIDIA's own bindings.

The package is cuda-bindings, of the CUDA version that TensorRT is for.
"""

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from dualpose_ros.arrays import AnyArray
from dualpose_ros.inference.engine import EngineError


@dataclass(frozen=True)
class Gpu:
    """The first NVIDIA GPU: its name, compute capability ("9.0") and the CUDA version of its driver (13000)."""

    name: str
    capability: str
    driver: int


_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76


def find_gpu(library: str = "libcuda.so.1") -> Gpu | None:
    """The first NVIDIA GPU, or None where there is no driver or no device.

    Asks the driver's own C library, which answers with an error code; TensorRT's runtime would end the process on a
    machine without a driver.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    count, device, driver, major, minor = (ctypes.c_int(0) for _ in range(5))
    name = ctypes.create_string_buffer(256)
    calls = (
        lambda: cuda.cuInit(0),
        lambda: cuda.cuDeviceGetCount(ctypes.byref(count)),
        lambda: 0 if count.value > 0 else 1,
        lambda: cuda.cuDeviceGet(ctypes.byref(device), 0),
        lambda: cuda.cuDeviceGetName(name, len(name), device),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device),
        lambda: cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device),
        lambda: cuda.cuDriverGetVersion(ctypes.byref(driver)),
    )
    if any(call() != 0 for call in calls):
        return None
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}", driver.value)


class CudaMemory:
    """A stream, and for each name pinned host memory and device memory, kept from run to run and grown when needed.

    EngineError names the call that failed, and says so where the GPU's memory is full.
    """

    def __init__(self) -> None:
        from cuda.bindings import runtime

        self._cuda: Any = runtime
        self._call("cudaSetDevice", 0)
        self.stream: int = int(self._call("cudaStreamCreate"))
        self._buffers: dict[str, tuple[int, int, int]] = {}

    def upload(self, name: str, value: AnyArray) -> int:
        """Start copying an array to the device; its address there."""
        device, pinned = self._memory(name, value.nbytes)
        pinned[: value.nbytes] = np.frombuffer(value, np.uint8) if value.nbytes else 0
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", device, pinned.ctypes.data, value.nbytes, kind, self.stream)
        return device

    def reserve(self, name: str, size: int) -> int:
        """The address of device memory of at least `size` bytes."""
        return self._memory(name, size)[0]

    def download(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> AnyArray:
        """Start copying a result to pinned memory: what is returned is complete after `finish`, until the next run."""
        size = int(np.prod(shape)) * dtype.itemsize
        device, pinned = self._memory(name, size)
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", pinned.ctypes.data, device, size, kind, self.stream)
        return np.asarray(pinned[:size].view(dtype).reshape(shape))

    def finish(self) -> None:
        """Wait for all that was started."""
        self._call("cudaSetDevice", 0)
        self._call("cudaStreamSynchronize", self.stream)

    def _memory(self, name: str, size: int) -> tuple[int, AnyArray]:
        have, host, device = self._buffers.get(name, (0, 0, 0))
        if have < max(size, 1):
            self._free(self._buffers.pop(name, None))
            have = max(size, 1)
            host, device = int(self._call("cudaMallocHost", have)), int(self._call("cudaMalloc", have))
            self._buffers[name] = (have, host, device)
        return device, np.ctypeslib.as_array((ctypes.c_uint8 * have).from_address(host))

    def _free(self, buffer: tuple[int, int, int] | None) -> None:
        if buffer is not None:
            self._call("cudaFreeHost", buffer[1])
            self._call("cudaFree", buffer[2])

    def close(self) -> None:
        """Give everything back."""
        for name in list(self._buffers):
            self._free(self._buffers.pop(name))
        self._call("cudaStreamDestroy", self.stream)

    def _call(self, name: str, *args: Any) -> Any:
        error, *results = getattr(self._cuda, name)(*args)
        if error == self._cuda.cudaError_t.cudaErrorMemoryAllocation:
            raise EngineError("the GPU's memory is full")
        if error != self._cuda.cudaError_t.cudaSuccess:
            raise EngineError(f"CUDA's {name} failed: {getattr(error, 'name', error)}")
        return results[0] if results else None
