"""The TFDS builders of tfxmr, one folder a dataset."""
