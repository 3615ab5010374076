"""The errors that mean: the user's input is wrong, or came to nothing, and here is the remedy."""


class InputError(ValueError):
    """Bad input. The message names the flag or file, the value found and the remedy; commands print it alone."""


class NotFinite(InputError):
    """A training or fit came to numbers that are not finite (nan, inf). The message says where, and what helps."""
