"""The integration network's samples and losses, and the discriminator of people together."""
