"""A data set's card: what is in it, what is wrong with it, and what can be done with it, before anything is trained."""
