"""What the standard says. Pure: no I/O, no clock."""
