"""HTTP over the reads: `app` makes it, `answers` are what it says (the CLI says the same)."""
