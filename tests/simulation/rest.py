"""What must be true once the faults have ended and time has gone on."""

from typing import TYPE_CHECKING

from image_moderation.domain.decision import State
from tests.simulation.judge import LEFT_OUT
from tests.simulation.store import at_once

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

OVERDUE = 20_000
"""Milliseconds after which a block that was withheld until now must have been looked at."""


def unrest(site: "Simulation") -> str:
    """Return what is not done yet; "" if all is."""
    if waiting := site.broker.unacked:
        return f"{len(waiting)} messages are not acked, as {next(iter(waiting))}"
    if count := site.store.backlog().count:
        return f"{count} decisions wait in the outbox"
    if ticking := site.judge.model.ticking:
        return f"withheld blocks are looked at: {sorted(ticking)}"
    before = site.now() - OVERDUE - 2 * site.plan.skew
    if overdue := [image for image, due in site.judge.model.due.items() if due < before]:
        return f"withheld blocks are overdue: {overdue}"
    for running in site.running.values():
        if running.process.dead or running.task.done():
            return f"{running.process.name} has ended"
        if running.stop.is_set():
            return f"{running.process.name} is stopping"
        if not running.health.ready:
            return f"{running.process.name} is not ready: {running.health.report()}"
    return ""


def check_at_rest(site: "Simulation") -> None:
    """Check that nothing is missing, and that everybody agrees."""
    judge = site.judge
    for position, message in judge.messages.items():
        letter = judge.letters.get(position)
        if message.dead and letter is None:
            judge.violated(f"message {position} ({message.dead}) has no dead letter")
        if not message.dead and not judge.has_effect(position) and letter not in LEFT_OUT:
            judge.violated(f"message {position} has neither an effect nor a dead letter")
    missing = [judge.decisions[one].image_id for one in judge.decisions if not judge.publications[one]]
    if missing:
        judge.violated(f"decisions were never published, about {missing}")
    blocked = {image for image, case in judge.model.cases.items() if case.state is State.BLOCKED}
    known = {image for image, (_, blocks) in judge.consumer.items() if blocks}
    if blocked != known:
        judge.violated(f"consumers have {sorted(known)} blocked; by the model it is {sorted(blocked)}")
    for image, case in judge.model.cases.items():
        stored = at_once(site.store.memory.case(image))[0]
        if stored != case:
            judge.violated(f"the case of {image} is {stored}; by the model {case}")
