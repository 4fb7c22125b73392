"""The top-down network's samples, losses and measure of success."""
