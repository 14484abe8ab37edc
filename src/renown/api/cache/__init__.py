"""Answers that are kept: of one agent in the process, dear ones for a few seconds by all."""
