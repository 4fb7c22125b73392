"""The person detector's samples, losses and measure of success."""
