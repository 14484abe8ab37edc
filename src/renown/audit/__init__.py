"""The transparency log, pure: trees, proofs, checkpoints, rules."""
