"""Floor 4: options, looks and exit codes. The only floor that prints."""
