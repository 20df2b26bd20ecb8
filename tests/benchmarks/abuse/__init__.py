"""What a crowd of fake accounts can buy: a seeded simulation of a site under attack, on the real policy.

`make bench-abuse` runs it; `python -m tests.benchmarks.abuse --help` has the options. Everything it assumes
is in `assumptions.py`, and what the figures mean in `docs/policy.md`.
"""
