"""What the CPU can do, as Linux tells, and how this process takes memory."""

import ctypes
import os
from functools import lru_cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_DOT_PRODUCTS = {"avx512_vnni", "avx_vnni"}
"""Flags of x86 CPUs that multiply bytes and sum exactly; without them 8-bit sums can overflow, and gain nothing."""


def computes_int8_fast(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether 8-bit networks are worth it: on x86 with VNNI, where they were measured; False where nothing tells."""
    return not _DOT_PRODUCTS.isdisjoint(cpu_flags(cpuinfo))


def computes_bf16_fast(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether bf16 is worth it: on x86 with AMX, which multiplies its matrices several times as fast as those of fp32;
    False where nothing tells."""
    return "amx_bf16" in cpu_flags(cpuinfo)


def computes_bf16(cpuinfo: Path = _CPUINFO) -> bool:
    """Whether it has products of bf16 at all: what 8-bit networks leave in floating point takes half the time in it."""
    return "avx512_bf16" in cpu_flags(cpuinfo)


@lru_cache(maxsize=4)
def cpu_flags(cpuinfo: Path = _CPUINFO) -> tuple[str, ...]:
    """What the CPU says that it can do, in order; empty where nothing tells."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    found = (sorted(line.partition(":")[2].split()) for line in lines if line.startswith("flags"))
    return tuple(next(found, []))


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual_threads(cores: int) -> int:
    """Threads of each network where so many cores are shared by the three nodes with large ones, and all others.

    Where all nodes' work fills the cores anyway, more threads than one only get into each other's way.
    """
    return max(1, min(4, cores // 4))


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 64 << 20
# Older glibc refuses more.
_LARGEST_KEPT_BYTES = 32 << 20


def keep_memory() -> None:
    """Take the memory of images and maps from what this process has had before, where glibc would map it anew.

    The system's first touch of each page takes longer than most of the work on it: 1,500 pages a frame of the demo.
    Threads that begin from now on share one heap: what one frees in a heap of its own, others could not take.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        set_option(_M_ARENA_MAX, 1)


def give_memory_back() -> None:
    """Return what is free to the system: glibc keeps most of what messages of many sizes have left behind."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
