"""What an NVIDIA GPU makes of the networks: builds TensorRT's plans, compares and times them. Run it once.

Prints what is installed, then for each network and precision how far the plan is from ONNX Runtime and its ms, and
frames/s of the graph. Exit code 0 if every plan was built and is as near as it has to be.
"""

import importlib.metadata
import subprocess
import sys

from dualpose_ros.inference.cuda import find_gpu

NETWORKS = ("detector", "top-down", "bottom-up", "gcn", "lifting", "fusion")
PACKAGES = ("tensorrt", "cuda-bindings", "onnxruntime", "onnxruntime-gpu", "torch", "onnx")


def dualpose(*args: str) -> bool:
    """Run a command; whether it went well."""
    print(f"\n$ dualpose {' '.join(args)}", flush=True)
    return subprocess.run([sys.executable, "-m", "dualpose_ros.cli", *args], check=False).returncode == 0


def main() -> int:
    """Everything in its order; the exit code."""
    gpu = find_gpu()
    print(gpu or "no NVIDIA GPU with a driver is here")
    for package in PACKAGES:
        try:
            print(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package} is not installed")
    if gpu is None:
        return 1
    built = [
        dualpose("export", name, "--engine", "tensorrt", "--precision", precision)
        for name in NETWORKS
        for precision in ("fp32", "fp16")
    ]
    timed = dualpose("bench", "engines", "--json", "check_gpu_engines.json")
    graph = dualpose("bench", "pipeline", "--json", "check_gpu_pipeline.json")
    print(f"\n{sum(built)} of {len(built)} plans; send check_gpu_*.json along with this page if something is wrong")
    return 0 if all(built) and timed and graph else 1
