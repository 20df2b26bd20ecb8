"""A deterministic simulation: the service's own parts as replicas, on a virtual clock, among failing servers.

`python -m tests.simulation --help` has the options; docs/decisions/013 has the reasons and the figures.
"""
