"""A trained method without its data set: the folder that a run keeps of it, and new items to vectors."""
from tfxmr.encoding.encoder import Encoder
from tfxmr.encoding.folder import load, write

__all__ = ["Encoder", "load", "write"]
