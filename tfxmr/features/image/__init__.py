"""Images to vectors or maps."""
