"""Pure rules and the values that cross rooms. Imports the standard library alone."""
