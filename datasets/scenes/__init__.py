"""Scenes: a small generated image-text dataset."""
