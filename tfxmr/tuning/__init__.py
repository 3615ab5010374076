"""Searches over a method's settings: grids, oracles, whole runs as trials."""
