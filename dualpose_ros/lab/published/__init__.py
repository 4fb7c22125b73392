"""Networks that others trained, from their own checkpoints to ONNX: the paper's release, HRNet and HigherHRNet."""
