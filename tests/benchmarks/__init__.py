"""The demo, the benchmark, and what both need: makers of load and a count of their own to compare with."""
