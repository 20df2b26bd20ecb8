"""The team of moderators: a queue, and one review at each of the evenly spread moments of a day."""

import heapq
from collections.abc import Iterator

from image_moderation.domain.report import Verdict
from tests.benchmarks.abuse.world import BASE, DAY, HOUR, World


class Team:
    """Takes images from the queue by priority, then in the order of asking."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._assumed = world.assumed
        self._times: dict[str, int] = {}
        """How often each image was asked about."""
        self._pending: dict[str, tuple[float, int]] = {}
        """The priority of each image in the queue, and when it was asked about."""
        self._not_ready: list[tuple[int, str]] = []
        self._ready: list[tuple[float, int, str]] = []
        self._is_ready: set[str] = set()
        self.asked = 0
        self.done = 0
        self.greatest_queue = 0

    def moments(self) -> Iterator[int]:
        """Yield when the team can take one image, until the end of the world."""
        assumed, day = self._assumed, BASE
        a_day = assumed.reviews_a_day
        while day < self._world.end:
            for number in range(round(a_day)):
                yield day + int(number / a_day * assumed.hours_a_day * HOUR)
            day += DAY

    def ask(self, image: str, now: int, priority: float = 0.0) -> None:
        """Put an image into the queue, or change its priority there."""
        if (known := self._pending.get(image)) is not None:
            self._pending[image] = (priority, known[1])
            if image in self._is_ready and priority != known[0]:
                heapq.heappush(self._ready, (-priority, known[1], image))
            return
        self.asked += 1
        nth = self._times[image] = self._times.get(image, 0) + 1
        random = self._world.draw(f"delay {image} {nth}")
        delay = self._assumed.least_delay + random.expovariate(1 / self._assumed.more_delay)
        self._pending[image] = (priority, now)
        heapq.heappush(self._not_ready, (now + int(delay * HOUR), image))
        self.greatest_queue = max(self.greatest_queue, len(self._pending))

    def take(self, now: int) -> str | None:
        """Return the image to review now, and remove it from the queue; None if none is ready."""
        while self._not_ready and self._not_ready[0][0] <= now:
            _, image = heapq.heappop(self._not_ready)
            priority, asked = self._pending[image]
            self._is_ready.add(image)
            heapq.heappush(self._ready, (-priority, asked, image))
        while self._ready:
            priority, asked, image = heapq.heappop(self._ready)
            if self._pending.get(image) == (-priority, asked):
                del self._pending[image]
                self._is_ready.discard(image)
                self.done += 1
                return image
        return None

    def verdict(self, image: str) -> Verdict:
        """Return what the team says about an image: the truth, but for its errors."""
        nth = self._times[image]
        wrong = self._world.draw(f"verdict {image} {nth}").random() < self._assumed.error
        right = Verdict.UPHELD if self._world.images[image].violating else Verdict.CLEARED
        other = Verdict.CLEARED if right is Verdict.UPHELD else Verdict.UPHELD
        return other if wrong else right
