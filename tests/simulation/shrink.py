"""Makes a plan that fails smaller, one part after another, for as long as it still fails."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from image_moderation.domain.policy import Policy
from tests.simulation.plan import Faults, Plan

SMALLEST: dict[str, Any] = {
    "policies": (),
    "replicas": 1,
    "batch_size": 1,
    "images": 1,
    "reporters": 1,
    "groups": 0,
    "parts": 1,
    "skew": 0,
    "bursts": 1,
    "burst": 2.0,
    "rate": 1.0,
}
"""Of each field of a plan that has a smallest value. Half of what is there is tried, too."""
SIMPLE_POLICY = (
    "immunity",
    "report_window",
    "review_grace",
    "review_threshold",
    "urgent_reasons",
    "max_blocks_per_hour",
    "shadow",
)


def shrink(plan: Plan, fails: Callable[[Plan], bool], tries: int = 200) -> Plan:
    """Return the smallest plan that was found to fail; `plan` itself must."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(plan):
            if tries == 0:
                return plan
            tries -= 1
            if fails(candidate):
                plan, smaller = candidate, True
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    for fault in fields(Faults):
        none: dict[str, Any] = {fault.name: 0}
        if fault.name not in {"outage", "latency"} and getattr(plan.faults, fault.name):
            yield replace(plan, faults=replace(plan.faults, **none))
    for option in SIMPLE_POLICY:
        standard: Any = getattr(Policy(), option)
        if getattr(plan.policy, option) != standard:
            yield replace(plan, policy=replace(plan.policy, **{option: standard}))
    for name, smallest in SMALLEST.items():
        value = getattr(plan, name)
        if value != smallest:
            yield replace(plan, **{name: smallest})
            if isinstance(value, int) and value // 2 > smallest:
                half: dict[str, Any] = {name: value // 2}
                yield replace(plan, **half)
