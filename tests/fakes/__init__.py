"""Model counterparts for tests: a chain, and nodes that serve it well or badly."""
