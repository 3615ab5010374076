"""File formats: .npz, feature folders, third-party matrix files, word tables, images. No file is trusted."""
