"""Floor 1: a Hugging Face folder in, objects out. Everything in such a folder is untrusted."""
