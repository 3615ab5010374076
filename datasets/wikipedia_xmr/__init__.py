"""The Wikipedia image-text dataset of Rasiwasia et al. (2010)."""
