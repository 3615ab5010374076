"""Tables of runs: rows, formats, comparison with exact tests."""
