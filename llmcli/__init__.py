"""llmcli: talk to a local language model, see what is in its files, and measure it."""

__version__ = "0.1.0"
