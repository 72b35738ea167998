"""Measurements of llmcli beside other programs. They are no part of the installed package."""
