"""The fit loop's parts: batches, optimiser, callbacks, checkpoints and resume, the run folder."""
