"""One run: its folder, training, selection, checkpoints, what it shows while it trains."""
