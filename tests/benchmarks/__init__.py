"""The demo, the benchmark, and their common parts: load generators and a model of the expected outcome."""
