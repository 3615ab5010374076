"""Raw media and class names to vectors."""
