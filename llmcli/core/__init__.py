"""Floor 0: the mathematics, over torch alone. It knows nothing of files, text or terminals."""
