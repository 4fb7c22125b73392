"""The bottom-up network's samples, losses and measure of success."""
