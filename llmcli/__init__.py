"""llmcli: talk to a local language model, see what is in its files, and measure it."""

import warnings

__version__ = "0.1.0"

# torch says at import that NumPy is not there; nothing here needs it.
warnings.filterwarnings("ignore", message="Failed to initialize NumPy", category=UserWarning)
