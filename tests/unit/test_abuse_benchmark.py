"""The simulation of attacks: tiny worlds by hand, each attacker's behaviour, and Discourse's score by its
formula.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from image_moderation.domain.decision import Action
from image_moderation.domain.report import Report, Review, Verdict
from tests.benchmarks.abuse.assumptions import Assumptions, table
from tests.benchmarks.abuse.attackers import GRID, RETURNS, SPREADS, Crowd, Strategy, vandals
from tests.benchmarks.abuse.calibration import REPORTS_AN_ITEM, VIOLATING, figures
from tests.benchmarks.abuse.contestants import PROFILES, Contestant, PlainCount, in_memory, least_reporters
from tests.benchmarks.abuse.discourse import FlagScore, accuracy_bonus
from tests.benchmarks.abuse.measures import Measures, measure
from tests.benchmarks.abuse.moderators import Team
from tests.benchmarks.abuse.simulation import Run, Simulation
from tests.benchmarks.abuse.world import BASE, DAY, HOUR, Attack, Image, Person, Seen, World, build

NOBODY = replace(Assumptions(), images=0, attacks=0, days=90.0, error=0.0)
SMALL = replace(Assumptions(), images=2_000, attacks=20)


def person(name: str, group: str | None = None) -> Person:
    return Person(name, group, 1)


def world(
    *seen: tuple[int, str, str],
    fakes: int = 0,
    linked: int = 0,
    violating: Sequence[str] = (),
    **assume: float,
) -> World:
    """A world by hand: honest reports (hour, image, person), and one attack of the image `target` at hour
    1.
    """
    names = {image for _, image, _ in seen} | {"target", *violating}
    accounts = [person(f"fake-{number}", "farm" if number < linked else None) for number in range(fakes)]
    return World(
        seed=1,
        assumed=replace(NOBODY, **assume),  # type: ignore[arg-type]
        images={name: Image(name, name in violating, False, BASE, 1.0) for name in sorted(names)},
        seen=[Seen(BASE + hour * HOUR, image, person(who), "spam") for hour, image, who in seen],
        attacks=[Attack("target", False, BASE + HOUR, accounts)] if fakes else [],
    )


def play(on: World, contestant: Contestant, strategy: Strategy = GRID[0]) -> Run:
    return asyncio.run(Simulation(on, contestant, strategy).play())


def blocked(run: Run) -> dict[str, list[tuple[float, float]]]:
    """When each image was blocked, in hours."""
    return {
        image: [((since - BASE) / HOUR, (until - BASE) / HOUR) for since, until in spans]
        for image, spans in run.blocked.items()
    }


def test_a_plain_count_by_hand() -> None:
    on = world(
        (2, "a", "ann"),
        (3, "a", "bob"),
        (4, "a", "ann"),
        (5, "b", "ann"),
        (6, "a", "cid"),
        (7, "a", "dan"),
        violating=["a"],
    )
    run = play(on, PlainCount(3))
    assert blocked(run) == {"a": [(6, 90 * 24)]}
    assert run.reports == 5  # dan doesn't see it any more
    found = measure(on, run)
    assert (found.violating, found.violating_blocked, found.minutes_to_block) == (1, 1, [4 * 60])
    assert (found.unattacked, found.unattacked_blocked) == (2, 0)


def test_wrongful_blocks_and_their_hours_by_hand() -> None:
    on = world(fakes=5)
    found = measure(on, play(on, PlainCount(5)))
    assert (found.attacked, found.wrongful, found.spent, found.per_1000) == (1, 1, 5, 1000)
    assert found.hours == 14 * 24  # a block that nobody undoes counts for so long


def test_a_crowd_that_is_too_small_blocks_nothing_and_spends_all() -> None:
    on = world(fakes=4)
    found = measure(on, play(on, PlainCount(5)))
    assert (found.wrongful, found.spent, found.accounts_a_block) == (0, 4, None)


def test_a_known_group_counts_once_in_the_real_policy() -> None:
    assert "target" in blocked(play(world(fakes=6, linked=2), in_memory({})))
    assert "target" not in blocked(play(world(fakes=6, linked=3), in_memory({})))
    assert "target" in blocked(play(world(fakes=6, linked=3), in_memory({}, groups=False)))


def test_no_fake_report_follows_a_block() -> None:
    assert play(world(fakes=40), PlainCount(5)).spent == {"target": 5}


def test_a_wave_lies_within_its_spread_and_begins_at_once() -> None:
    on = world(fakes=20)
    for spread in SPREADS.values():
        times = [at for _, at in Crowd(on, on.attacks[0], Strategy(spread)).wave(BASE)]
        assert times == sorted(times)
        assert times[0] == BASE
        assert spread / 2 < times[-1] - BASE <= spread


@pytest.mark.parametrize(("again", "blocks"), [("never", 1), ("1 h", 1), ("31 d", 3)])
def test_who_returns_within_the_immunity_gains_nothing(again: str, blocks: int) -> None:
    run = play(world(fakes=5), in_memory({}), Strategy(SPREADS["10 min"], RETURNS[again]))
    assert len(run.blocked["target"]) == blocks
    assert all(2 <= until - since < 24 for since, until in blocked(run)["target"])


def test_without_immunity_a_return_after_an_hour_pays() -> None:
    run = play(
        world(fakes=5), in_memory({"MODERATION_IMMUNITY": "0s"}), Strategy(SPREADS["10 min"], RETURNS["1 h"])
    )
    assert len(run.blocked["target"]) == 3


def test_a_drip_slower_than_the_window_blocks_the_plain_count_alone() -> None:
    on, slow = world(fakes=5), Strategy(SPREADS["25 d"])
    assert "target" in blocked(play(on, PlainCount(5), slow))
    assert "target" not in blocked(play(on, in_memory({"MODERATION_REPORT_WINDOW": "3d"}), slow))


def test_farming_buys_nothing_where_people_are_counted_and_much_where_they_are_weighed() -> None:
    on = build(1, SMALL)
    for way in GRID[:4]:
        farmed = replace(way, farm=True)
        for settings in PROFILES.values():
            assert play(on, in_memory(settings), way).taken == play(on, in_memory(settings), farmed).taken
    alone = world(fakes=1)
    assert not play(alone, FlagScore()).blocked
    assert play(alone, FlagScore(), Strategy(farm=True)).blocked


def test_a_moderator_within_the_grace_saves_an_image_and_a_late_one_does_not() -> None:
    on = world(fakes=12, more_delay=0.01)
    assert not play(on, in_memory(PROFILES["moderated"])).blocked
    late = replace(on, assumed=replace(on.assumed, least_delay=7.0))
    ((since, until),) = blocked(play(late, in_memory(PROFILES["moderated"])))["target"]
    assert 7 <= since < 8
    assert until > since


def test_images_that_are_left_out_change_nothing() -> None:
    on = build(2, SMALL)
    for settings in PROFILES.values():
        runs = [
            asyncio.run(Simulation(on, in_memory(settings), GRID[0], least=least).play())
            for least in (1, least_reporters(settings))
        ]
        assert runs[0] == runs[1]
        assert runs[0].taken


def test_a_seed_makes_the_same_again_and_another_does_not() -> None:
    def seen(seed: int) -> Run:
        return play(build(seed, SMALL), in_memory(PROFILES["moderated"]), GRID[6])

    assert seen(3) == seen(3)
    assert seen(3) != seen(4)


def test_the_team_keeps_its_pace_its_delay_and_its_order() -> None:
    on = world(more_delay=1e-9, reviews_a_day=24.0)
    team = Team(on)
    moments = list(team.moments())
    assert moments[:3] == [BASE, BASE + HOUR, BASE + 2 * HOUR]
    assert len(moments) == 24 * 90
    team.ask("target", BASE)
    assert team.take(BASE + HOUR) is None
    team.ask("b", BASE + 1)
    team.ask("c", BASE + 2, priority=1.0)
    team.ask("b", BASE + 3)
    later = BASE + 3 * HOUR
    assert [team.take(later) for _ in range(4)] == ["c", "target", "b", None]
    assert (team.asked, team.done, team.greatest_queue) == (3, 3, 3)


def test_vandals_report_no_target_and_as_many_images_as_they_were_told() -> None:
    on = build(5, SMALL)
    decoys = vandals(on, accounts=7, images_a_day=4)
    assert len({decoy.person.id for decoy in decoys}) == 7
    assert 28 * 4 * 7 <= len(decoys) <= 30 * 4 * 7
    assert not {decoy.image for decoy in decoys} & {attack.image for attack in on.attacks}


def test_the_population_is_close_to_the_published_figures() -> None:
    items, violating = figures(build(301, Assumptions()))
    assert items == pytest.approx(REPORTS_AN_ITEM, rel=0.05)
    assert violating == pytest.approx(VIOLATING, rel=0.05)


def test_every_assumption_has_a_unit_and_a_source() -> None:
    assert all(unit and source for _, _, unit, source in table())


def test_measures_add_up() -> None:
    one = Measures(attacked=10, wrongful=3, greatest_queue=4, minutes_to_block=[60, 120])
    both = one + Measures(attacked=10, wrongful=1, greatest_queue=9, minutes_to_block=[180])
    assert (both.per_1000, both.greatest_queue, both.hours_to_block(50)) == (200, 9, 2)


def flag(who: str, hour: float = 0.0, *, trust: int = 1, agreed: int = 0) -> tuple[Report, Person]:
    at = BASE + int(hour * HOUR)
    return Report("p", who, at, at), Person(who, None, trust, agreed)


def flags(score: FlagScore, *given: tuple[Report, Person]) -> list[Action]:
    return [one.action for report, who in given for one in asyncio.run(score.report(report, who))]


def test_discourse_needs_five_new_accounts_or_three_of_the_next_level() -> None:
    assert FlagScore().needed == 8.33
    assert flags(FlagScore(), *(flag(str(number)) for number in range(4))) == []
    assert flags(FlagScore(), *(flag(str(number)) for number in range(5))) == [Action.BLOCK]
    assert flags(FlagScore(), *(flag(str(number), trust=2) for number in range(3))) == [Action.BLOCK]
    assert flags(FlagScore(), *(flag(str(number), trust=0) for number in range(9))) == []
    assert flags(FlagScore(), *[flag("one")] * 9) == []


def test_discourse_weighs_accuracy() -> None:
    assert accuracy_bonus(5, 0) == 0
    assert accuracy_bonus(8, 0) == 7.5  # 5 log4(8)
    assert accuracy_bonus(0, 16) == -10
    assert accuracy_bonus(7, 3) == 0
    assert flags(FlagScore(), flag("one", agreed=8)) == [Action.BLOCK]


def test_discourse_shows_a_post_again_and_takes_no_flag_for_a_day() -> None:
    score = FlagScore()
    assert flags(score, *(flag(str(number)) for number in range(5))) == [Action.BLOCK]
    taken = asyncio.run(score.review(Review("p", BASE + HOUR, BASE + HOUR, Verdict.CLEARED)))
    assert [one.action for one in taken] == [Action.UNBLOCK]
    assert flags(score, *(flag(f"b{number}", 24) for number in range(5))) == []
    assert flags(score, *(flag(f"c{number}", 26) for number in range(5))) == [Action.BLOCK]


def test_discourse_follows_the_scores_of_the_site() -> None:
    score = FlagScore(adapts=True)
    for post in range(15):
        for who in range(2):
            report = Report(f"p{post}", f"{post}-{who}", BASE, BASE)
            asyncio.run(score.report(report, Person(report.reporter_id, None, 2)))
        asyncio.run(score.review(Review(f"p{post}", BASE + 1, BASE + 1, Verdict.UPHELD)))
    assert score.next_look() == BASE + DAY
    asyncio.run(score.look(BASE + DAY))
    assert score.needed == 4.0  # 2/3 of two flags of 3 points each
