"""Who asks, what they may do, how often, and that a retry does nothing twice."""
