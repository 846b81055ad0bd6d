"""What `reconcile` decides, as a table; and how long it waits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core import reconcile
from pipeline.core.reconcile import Decision, Fight, Memory, Move, Sight
from pipeline.model.release import Phase, Release

A, B, C = "a" * 40, "b" * 40, "c" * 40
NOW = 1000.0
KNOWS_A = Memory(head=A, newest=1, followed=A)


def release(number: int, revision: str, phase: Phase = Phase.SUCCEEDED, **more: str) -> Release:
    finished = "" if phase in (Phase.APPLYING, Phase.INTERRUPTED) else "2026-11-25T10:00:00+00:00"
    return Release(
        application="shop",
        environment="dev",
        number=number,
        id="x",
        revision=revision,
        phase=phase,
        actor="alice",
        finished=finished,
        **more,  # type: ignore[arg-type]  # all texts
    )


def sight(head: str, *newest_first: Release, **more: bool) -> Sight:
    """A look at records in which the branch's commit is on record where a release has it."""
    verified = next((r for r in newest_first if r.phase is Phase.SUCCEEDED), None)
    newest = newest_first[0] if newest_first else None
    on_record = any(r.revision == head for r in newest_first)
    return replace(Sight(head=head, newest=newest, verified=verified, on_record=on_record), **more)  # type: ignore[arg-type]  # flags


FAILED_B = release(2, B, Phase.ROLLED_BACK, message="no such image")
RUNS_A = release(1, A)

TABLE = [
    ("nothing was ever deployed", Memory(), sight(A), Move.DEPLOY),
    ("git cannot be asked, and nothing was ever deployed", Memory(), sight(""), Move.REST),
    ("the branch's commit runs", KNOWS_A, sight(A, RUNS_A, affected=False, differs=False), Move.REST),
    ("a new commit", KNOWS_A, sight(B, RUNS_A), Move.DEPLOY),
    ("a new commit that changes nothing here", KNOWS_A, sight(B, RUNS_A, affected=False), Move.REST),
    ("git cannot be asked", KNOWS_A, sight("", RUNS_A), Move.REST),
    ("another run is at work", KNOWS_A, sight(B, RUNS_A, locked=True), Move.GIVE_WAY),
    (
        "another run of the commit is at work",
        KNOWS_A,
        sight(A, release(2, A, Phase.APPLYING), RUNS_A, locked=True),
        Move.GIVE_WAY,
    ),
    ("the commit was rolled back", Memory(), sight(B, FAILED_B, RUNS_A), Move.REST),
    ("a newer commit after one that was rolled back", Memory(), sight(C, FAILED_B, RUNS_A), Move.DEPLOY),
    (
        "a person went back, and we began later",
        Memory(),
        sight(B, release(3, A), release(2, B), RUNS_A),
        Move.REST,
    ),
    (
        "a person went back, and the branch moved on",
        Memory(),
        sight(C, release(3, A), release(2, B), RUNS_A),
        Move.DEPLOY,
    ),
    ("a run of the commit died", KNOWS_A, sight(B, release(2, B, Phase.APPLYING), RUNS_A), Move.DEPLOY),
    (
        "a signal ended a run of the commit",
        KNOWS_A,
        sight(B, release(2, B, Phase.INTERRUPTED), RUNS_A),
        Move.DEPLOY,
    ),
    (
        "a run died, and the branch moved on",
        KNOWS_A,
        sight(C, release(2, B, Phase.APPLYING), RUNS_A),
        Move.DEPLOY,
    ),
    (
        "a person's run of another commit died",
        KNOWS_A,
        sight(A, release(2, C, Phase.APPLYING), RUNS_A),
        Move.PUT_BACK,
    ),
    (
        "a run died, and git cannot be asked",
        KNOWS_A,
        sight("", release(2, B, Phase.APPLYING), RUNS_A),
        Move.PUT_BACK,
    ),
    (
        "the first run died, and git cannot be asked",
        Memory(),
        sight("", release(1, A, Phase.APPLYING)),
        Move.REST,
    ),
    (
        "the first run, of another commit, died",
        Memory(),
        sight(B, release(1, A, Phase.APPLYING)),
        Move.DEPLOY,
    ),
    ("a failed release that stayed", KNOWS_A, sight(A, release(2, A, Phase.FAILED), RUNS_A), Move.REST),
    (
        "a newer commit after a failed release that stayed",
        KNOWS_A,
        sight(B, release(2, A, Phase.FAILED), RUNS_A),
        Move.DEPLOY,
    ),
    ("a rollback that failed", KNOWS_A, sight(B, release(2, B, Phase.ROLLBACK_FAILED), RUNS_A), Move.REST),
]


@pytest.mark.parametrize(
    ("memory", "look", "move"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_what_is_done_next(memory: Memory, look: Sight, move: Move) -> None:
    assert reconcile.decide(memory, look, NOW).move is move


def test_a_commit_that_failed_is_held_with_its_reason() -> None:
    assert "no such image" in reconcile.decide(Memory(), sight(B, FAILED_B, RUNS_A), NOW).why


def test_where_the_branch_s_commit_runs_there_is_nothing_to_say() -> None:
    look = sight(A, RUNS_A, affected=False, differs=False)
    assert reconcile.decide(KNOWS_A, look, NOW) == Decision(Move.REST)


def test_a_commit_without_a_change_for_us_is_nothing_to_say() -> None:
    look = sight(B, RUNS_A, affected=False, differs=False)
    assert reconcile.decide(KNOWS_A, look, NOW) == Decision(Move.REST)


# --- what a person deploys


def test_a_person_s_deploy_of_another_commit_stays_until_the_branch_moves_on() -> None:
    back = release(3, A)
    memory = reconcile.looked(Memory(head=B, newest=2, followed=B), back)
    decision = reconcile.decide(memory, sight(B, back, release(2, B), RUNS_A), NOW)
    assert decision.move is Move.REST
    assert "alice" in decision.why
    assert reconcile.decide(memory, sight(C, back, release(2, B), RUNS_A), NOW).move is Move.DEPLOY


def test_a_commit_that_was_seen_while_a_person_deployed_another_one_stays_out() -> None:
    waiting = sight(B, RUNS_A, locked=True)
    memory = reconcile.looked(KNOWS_A, RUNS_A)
    memory = reconcile.seen(memory, waiting, reconcile.decide(memory, waiting, NOW))
    back = release(2, C)
    memory = reconcile.looked(memory, back)
    assert reconcile.decide(memory, sight(B, back, RUNS_A), NOW).move is Move.REST


def test_a_commit_that_was_seen_while_a_person_s_deploy_failed_is_deployed() -> None:
    waiting = sight(B, RUNS_A, locked=True)
    memory = reconcile.seen(KNOWS_A, waiting, reconcile.decide(KNOWS_A, waiting, NOW))
    failed = release(2, C, Phase.ROLLED_BACK)
    memory = reconcile.looked(memory, failed)
    assert reconcile.decide(memory, sight(B, failed, RUNS_A), NOW).move is Move.DEPLOY


def test_a_person_s_deploy_of_the_branch_s_commit_is_nothing_special() -> None:
    memory = reconcile.looked(Memory(head=B, newest=1, followed=A), release(2, B))
    assert reconcile.decide(memory, sight(C, release(2, B), RUNS_A), NOW).move is Move.DEPLOY


def test_a_run_that_is_not_over_is_no_news_yet() -> None:
    memory = reconcile.looked(KNOWS_A, release(2, C, Phase.APPLYING))
    assert memory == KNOWS_A


@pytest.mark.parametrize("left", [None, RUNS_A], ids=["all of them", "the newest"])
def test_with_records_that_are_gone_what_they_said_is_forgotten(left: Release | None) -> None:
    memory = reconcile.looked(Memory(head=B, newest=2, followed=B), left)
    assert reconcile.base(memory, left, left) == (A if left else "")
    look = sight(B, *([left] if left else []))
    assert reconcile.decide(memory, look, NOW).move is Move.DEPLOY


def test_before_the_first_release_there_are_no_records_to_be_gone() -> None:
    memory = reconcile.looked(Memory(head=B, newest=None, followed=B), None)
    assert reconcile.decide(memory, sight(B), NOW).move is Move.REST


def test_what_was_followed_stands_in_the_records_for_a_process_that_begins() -> None:
    newest = release(3, A, followed=B)
    assert reconcile.base(Memory(), newest, newest) == B
    assert reconcile.base(Memory(followed=C), newest, newest) == C
    assert reconcile.base(Memory(), RUNS_A, RUNS_A) == A
    assert reconcile.base(Memory(), None, None) == ""


def test_while_git_cannot_be_asked_nothing_is_forgotten() -> None:
    memory = reconcile.refused(KNOWS_A, A, "not YAML", final=True, now=NOW, jitter=0.5)
    assert reconcile.seen(memory, sight("", RUNS_A), Decision(Move.REST)) == memory


def test_a_commit_that_was_held_is_remembered_when_its_record_is_long_gone() -> None:
    look = sight(B, FAILED_B, RUNS_A)
    memory = reconcile.seen(Memory(), look, reconcile.decide(Memory(), look, NOW))
    assert memory.followed == B
    later = replace(sight(B, release(13, A)), on_record=False)
    assert reconcile.decide(memory, later, NOW).move is Move.REST


# --- commits that are refused without a record


def test_an_invalid_commit_waits_for_another_one() -> None:
    memory = reconcile.refused(KNOWS_A, B, "not YAML", final=True, now=NOW, jitter=0.5)
    for later in (0.0, 1e6):
        decision = reconcile.decide(memory, sight(B, RUNS_A), NOW + later)
        assert decision.move is Move.REST
        assert "not YAML" in decision.why
    assert reconcile.decide(memory, sight(C, RUNS_A), NOW).move is Move.DEPLOY


def test_a_commit_that_the_cluster_refused_is_tried_again_later() -> None:
    memory = reconcile.refused(KNOWS_A, B, "quota", final=False, now=NOW, jitter=1.0)
    assert reconcile.decide(memory, sight(B, RUNS_A), NOW + 1).move is Move.REST
    assert reconcile.decide(memory, sight(B, RUNS_A), NOW + reconcile.FIRST_WAIT_S).move is Move.DEPLOY


def test_a_person_who_asks_for_it_need_not_wait_for_another_try() -> None:
    memory = reconcile.refused(KNOWS_A, B, "quota", final=False, now=NOW, jitter=1.0)
    assert reconcile.decide(reconcile.forgiven(memory, NOW), sight(B, RUNS_A), NOW).move is Move.DEPLOY


def test_asking_does_not_make_an_invalid_commit_valid() -> None:
    memory = reconcile.refused(KNOWS_A, B, "not YAML", final=True, now=NOW, jitter=1.0)
    assert reconcile.decide(reconcile.forgiven(memory, NOW), sight(B, RUNS_A), NOW).move is Move.REST


def test_another_commit_makes_what_was_refused_forgotten() -> None:
    memory = reconcile.refused(KNOWS_A, B, "quota", final=False, now=NOW, jitter=1.0)
    assert reconcile.seen(memory, sight(B, RUNS_A), Decision(Move.REST)).refused is not None
    assert reconcile.seen(memory, sight(C, RUNS_A), Decision(Move.DEPLOY)).refused is None


def test_what_a_dead_run_left_is_put_back_where_the_commit_cannot_be_deployed() -> None:
    memory = reconcile.refused(KNOWS_A, B, "not YAML", final=True, now=NOW, jitter=0.5)
    look = sight(B, release(2, B, Phase.APPLYING), RUNS_A)
    assert reconcile.decide(memory, look, NOW).move is Move.PUT_BACK


# --- drift


@pytest.mark.parametrize(
    ("look", "may"),
    [
        (sight(A, RUNS_A), True),
        (sight("", RUNS_A), True),
        (sight(B, FAILED_B, RUNS_A), True),
        (sight(A), False),
        (sight(A, release(1, A, Phase.ROLLED_BACK)), False),
        (sight(A, release(2, A, Phase.FAILED), RUNS_A), False),
        (sight(A, release(2, A, Phase.ROLLBACK_FAILED), RUNS_A), False),
        (sight(A, release(2, A, Phase.APPLYING), RUNS_A), False),
        (sight(A, RUNS_A, locked=True), False),
    ],
)
def test_drift_is_ours_only_where_a_verified_release_runs(look: Sight, may: bool) -> None:
    assert reconcile.may_put_back(KNOWS_A, look, NOW) is may


def test_what_could_not_be_put_back_waits_longer_each_time() -> None:
    trouble = reconcile.troubled(None, "conflict", NOW, 1.0)
    memory = replace(KNOWS_A, put_back=trouble)
    assert not reconcile.may_put_back(memory, sight(A, RUNS_A), NOW)
    assert reconcile.may_put_back(memory, sight(A, RUNS_A), trouble.again_at)
    again = reconcile.troubled(trouble, "conflict", trouble.again_at, 1.0)
    assert again.again_at - trouble.again_at == 2 * (trouble.again_at - NOW)
    assert again.since == NOW


def test_a_field_that_is_fought_over_has_truces_that_double() -> None:
    fights: dict[str, Fight] = {}
    now, truces = NOW, []
    for _ in range(4):
        assert reconcile.is_due(fights, ["x"], now)
        fights = reconcile.fought(fights, ["x"], now, 60.0)
        truces.append(fights["x"].again_at - now)
        assert not reconcile.is_due(fights, ["x"], fights["x"].again_at - 1)
        now = fights["x"].again_at
    assert truces == [60.0, 120.0, 240.0, 480.0]
    assert fights["x"].count > reconcile.FOUGHT


def test_a_new_field_beside_one_that_is_fought_over_is_put_back_at_once() -> None:
    fights = reconcile.fought({}, ["x"], NOW, 60.0)
    assert reconcile.is_due(fights, ["x", "y"], NOW)


def test_a_fight_that_is_long_over_is_forgotten() -> None:
    fights = reconcile.fought({}, ["x"], NOW, 60.0)
    later = NOW + reconcile.LONGEST_TRUCE_S + 1
    assert set(reconcile.fought(fights, ["y"], later, 60.0)) == {"y"}


def test_only_so_many_fights_are_remembered_the_newest() -> None:
    names = [str(n) for n in range(reconcile.MOST_FIGHTS + 50)]
    fights = reconcile.fought({}, names, NOW, 60.0)
    assert list(fights) == names[50:]


# --- time


@pytest.mark.parametrize(("count", "wait"), [(1, 5.0), (2, 10.0), (6, 160.0), (7, 300.0), (5000, 300.0)])
def test_waits_double_up_to_five_minutes(count: int, wait: float) -> None:
    first, longest = reconcile.FIRST_WAIT_S, reconcile.LONGEST_WAIT_S
    assert reconcile.doubled(count, first, longest) == wait


def test_the_next_look_is_sooner_where_something_is_due() -> None:
    wait = reconcile.next_look(now=NOW, interval_s=60.0, jitter=0.5, again=[NOW + 7, NOW + 90])
    assert wait == 7
    assert reconcile.next_look(now=NOW, interval_s=60.0, jitter=0.5, again=[NOW - 5]) == 0
    assert reconcile.next_look(now=NOW, interval_s=60.0, jitter=0.0, again=[]) == pytest.approx(54)
    assert reconcile.next_look(now=NOW, interval_s=60.0, jitter=1.0, again=[]) == pytest.approx(66)


@pytest.mark.parametrize(
    ("ago", "busy_for", "healthy"),
    [(0, 0, True), (180, 0, True), (181, 0, False), (1000, 100, True), (1000, -1, False)],
)
def test_it_is_healthy_while_looks_go_well_or_a_deploy_takes_its_time(
    ago: float, busy_for: float, healthy: bool
) -> None:
    assert (
        reconcile.is_healthy(
            now=NOW, success_at=NOW - ago, interval_s=60.0, busy_until=NOW + busy_for if busy_for else 0
        )
        is healthy
    )
