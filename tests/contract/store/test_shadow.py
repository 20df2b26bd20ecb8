"""Shadow mode."""

from dataclasses import replace

from image_moderation.domain.decision import Action
from tests.support.histories import report
from tests.support.store_backends import POLICY, Backend


async def test_shadow_mode_puts_nothing_into_the_outbox(backend: Backend) -> None:
    backend.policy = replace(POLICY, shadow=True)
    store, outbox = await backend.opened(), backend.outbox()
    applied = await store.apply([report(f"user-{n}", n) for n in (1, 2, 3)])
    assert list(applied.entries) == []
    assert [(one.action, one.revision) for one in applied.shadow] == [(Action.BLOCK, 0)]
    assert (await outbox.backlog()).count == 0
    assert (await store.apply([report("user-4", 4)])).shadow == ()
