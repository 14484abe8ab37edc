"""Facts in, state out. Pure: no I/O, no clock, no globals."""
