"""What a robot never runs: the synthetic world, training, evaluation and experiments."""
