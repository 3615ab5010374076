"""What everything uses: declared settings, the registry of methods, errors, files written whole, signals."""
