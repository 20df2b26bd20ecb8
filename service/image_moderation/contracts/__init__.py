"""Writes the generated files of `contracts/` at the top of the repository."""
