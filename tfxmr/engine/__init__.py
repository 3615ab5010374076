"""What stands below every neural method: layers, losses, randomness, optimizers, the training loop, distribution."""
