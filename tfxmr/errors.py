"""The one error that means: the user's input is wrong, and here is the remedy."""


class InputError(ValueError):
    """Bad input. The message names the flag or file, the value found and the remedy; commands print it alone."""
