"""Texts to vectors or tokens."""
