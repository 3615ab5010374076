"""The XMedia dataset of Zhai, Peng and Xiao (2014): features of five modalities."""
