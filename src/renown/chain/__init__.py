"""Talk to nodes, and believe only what can be checked."""
