"""A regression small enough to train in a second: y = A x, with dropout, batch norm and augmentation."""

from typing import Any

import numpy as np
import torch
from torch import nn

from dualpose_ros.inference.export import Axis, ExportSpec

MATRIX = np.random.default_rng(7).standard_normal((4, 3)).astype(np.float32)


class TinySamples:
    def __init__(self, count: int, noise: float) -> None:
        self.x = np.random.default_rng(count).standard_normal((count, 4)).astype(np.float32)
        self.noise = noise

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        return self.draw(index, np.random.default_rng(0))

    def draw(self, index: int, rng: np.random.Generator) -> Any:
        x = self.x[index] + self.noise * rng.standard_normal(4).astype(np.float32)
        return x, x @ MATRIX


class TinyTask:
    name = "tiny"

    def __init__(self, width: int = 16) -> None:
        self.width = width
        self.steps_seen = 0
        self.interrupt_at: int | None = None

    def build_model(self) -> nn.Module:
        return nn.Sequential(
            nn.Linear(4, self.width), nn.BatchNorm1d(self.width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(self.width, 3)
        )

    def datasets(self) -> Any:
        return TinySamples(100, 0.1), TinySamples(40, 0.0)

    def collate(self, samples: Any) -> Any:
        return {
            "x": torch.from_numpy(np.stack([s[0] for s in samples])),
            "y": torch.from_numpy(np.stack([s[1] for s in samples])),
        }

    def loss(self, model: nn.Module, batch: Any) -> Any:
        self.steps_seen += 1
        if self.steps_seen == self.interrupt_at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)
        error = (model(batch["x"]).float() - batch["y"]).square().mean()
        return error, {"mse": error.detach()}

    def validate(self, model: nn.Module, batches: Any) -> Any:
        errors = [(model(b["x"]) - b["y"]).square().mean(dim=1) for b in batches]
        return {"mse": float(torch.cat(errors).mean()), "count": float(sum(len(e) for e in errors))}

    def objective(self, figures: Any) -> Any:
        return figures["mse"]

    def export_spec(self) -> ExportSpec:
        return ExportSpec({"x": torch.randn(3, 4)}, ("y",), {"x": {0: Axis("N")}})
