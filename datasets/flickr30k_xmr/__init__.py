"""The Flickr30k dataset of Young et al. (2014)."""
