"""The flags of the command line by group, and one flagfile a table cell."""
