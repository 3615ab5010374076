"""The figures of cross-media papers, one kind a module; each draws on a matplotlib Figure and writes no file itself."""
