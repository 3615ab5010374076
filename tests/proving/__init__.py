"""Small methods that prove what the base carries: each reads, learns or compares in a way that no published one here does.

They are trained by the command line as a user's own are: `--model=proving.tokens:WordsLSTM`.
"""
