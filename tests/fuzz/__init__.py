"""Fuzzing: what a program makes up instead of a person. `make fuzz`."""
