"""How xdist shares the tests among its processes."""

from xdist.scheduler import LoadFileScheduling


class SimulationsApart(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A file stays with one process, for its servers' sake; the simulation has none, and computes a lot."""

    def _split_scope(self, nodeid: str) -> str:
        scope: str = super()._split_scope(nodeid)
        return nodeid if scope.startswith("tests/simulation/") else scope
