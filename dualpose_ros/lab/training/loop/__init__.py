"""The loop of every training: batches, averaging, checkpoints, log and report."""
