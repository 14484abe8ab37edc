"""Talking to strangers: the only code that opens a connection to a host that an agent names."""
