"""Whether an NVIDIA GPU with a working driver is there, asked of the driver alone."""

from __future__ import annotations

import ctypes


def gpu_name(library: str = "libcuda.so.1") -> str | None:
    """Name of the first NVIDIA GPU, or None where there is no driver or no device.

    Asks the driver's own C library, which answers with an error code; TensorRT's runtime would end
    the process on a machine without a driver.
    """
    try:
        cuda = ctypes.CDLL(library)
    except OSError:
        return None
    count, device = ctypes.c_int(0), ctypes.c_int(0)
    name = ctypes.create_string_buffer(256)
    calls = (
        lambda: cuda.cuInit(0),
        lambda: cuda.cuDeviceGetCount(ctypes.byref(count)),
        lambda: 0 if count.value > 0 else 1,
        lambda: cuda.cuDeviceGet(ctypes.byref(device), 0),
        lambda: cuda.cuDeviceGetName(name, len(name), device),
    )
    if any(call() != 0 for call in calls):
        return None
    return name.value.decode(errors="replace")
