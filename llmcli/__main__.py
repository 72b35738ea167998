"""The entry point of `llmcli` and of `python -m llmcli`. It knows nothing but where the app is."""

import sys


def main() -> None:
    """Run the command that the command line names."""
    try:
        from llmcli.cli import app
    except KeyboardInterrupt:  # before anyone is there who knows how to end
        sys.exit(130)
    app.main()


if __name__ == "__main__":
    main()
