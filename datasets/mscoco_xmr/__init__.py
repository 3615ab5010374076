"""The captions of MSCOCO (Lin et al. 2014, Chen et al. 2015)."""
