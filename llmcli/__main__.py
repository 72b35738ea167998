"""The entry point of `llmcli` and of `python -m llmcli`. It knows nothing but where the app is."""

from llmcli.cli.app import main

if __name__ == "__main__":
    main()
