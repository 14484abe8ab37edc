"""The workers that join the stages: chain -> decode -> fold -> store."""
