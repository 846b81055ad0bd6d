"""Whatever happens around it, in whatever order: what `reconcile` never does, and where it ends."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import reconcile
from pipeline.core.reconcile import Memory, Move, Sight
from pipeline.model.release import Phase, Release

INTERVAL_S = 60.0
KEPT = 10  # release records

BAD, INVALID, UNRELATED = "bad", "invalid", "unrelated"
"""Commits that are rolled back, that cannot be read, that change nothing for the environment."""

push = st.tuples(st.just("push"), st.sampled_from(["good", BAD, INVALID, UNRELATED]))
events = st.lists(
    st.one_of(
        push,
        st.tuples(st.just("person"), st.integers(0, 5)),
        st.sampled_from([("look",), ("look",), ("restart",), ("git down",), ("git up",), ("killed",)]),
        st.tuples(st.just("locked"), st.integers(0, 5)),
    ),
    max_size=25,
)


@dataclass
class World:
    """A branch, records and one `reconcile` in memory. Commits are ``kind-number``, in the branch's order."""

    branch: list[str] = field(default_factory=lambda: ["good-0"])
    releases: list[Release] = field(default_factory=list)  # newest first
    memory: Memory = field(default_factory=Memory)
    git: bool = True
    locked: bool = False
    now: float = 0.0
    ours: Counter[str] = field(default_factory=Counter)
    kept: tuple[str, str] | None = None  # a person's commit, and the branch's that was seen then

    @property
    def verified(self) -> Release | None:
        return next((r for r in self.releases if r.phase is Phase.SUCCEEDED), None)

    def record(self, revision: str, phase: Phase, followed: str = "") -> None:
        before = self.releases[0] if self.releases else None
        release = Release(
            application="shop",
            environment="dev",
            number=before.number + 1 if before else 1,
            id="x",
            revision=revision,
            phase=phase,
            finished="" if phase is Phase.APPLYING else "then",
            followed=followed or (before.followed if before else ""),
        )
        verified = self.verified
        self.releases = [release, *self.releases][:KEPT]
        if verified is not None and verified not in self.releases:
            self.releases.append(verified)

    def affects(self, start: str, head: str) -> bool:
        """Whether files of the environment changed between two commits of the branch."""
        if not start:
            return True
        low, high = sorted((self.branch.index(start), self.branch.index(head)))
        return any(not c.startswith(UNRELATED) for c in self.branch[low + 1 : high + 1])

    def look(self) -> Move:
        self.now += INTERVAL_S * 6  # longer than any wait after a failure
        head = self.branch[-1] if self.git else ""
        newest, verified = (self.releases[0] if self.releases else None), self.verified
        self.memory = reconcile.looked(self.memory, newest)
        sight = Sight(head=head, newest=newest, verified=verified, locked=self.locked)
        if head:
            sight = replace(
                sight,
                on_record=any(r.revision == head for r in self.releases),
                affected=self.affects(reconcile.base(self.memory, newest, verified), head),
                differs=self.affects(verified.revision if verified else "", head),
            )
        decision = reconcile.decide(self.memory, sight, self.now)
        self.memory = reconcile.seen(self.memory, sight, decision)
        match decision.move:
            case Move.DEPLOY:
                assert not self.locked
                self.deploy(head, sight)
            case Move.PUT_BACK:
                assert not self.locked
                assert verified is not None
                self.record(verified.revision, Phase.SUCCEEDED, self.memory.followed)
                self.memory = replace(self.memory, newest=self.releases[0].number)
        return decision.move

    def deploy(self, head: str, sight: Sight) -> None:
        dies = sight.newest is not None and sight.newest.is_open
        if not dies:
            self.ours[head] += 1
        if head.startswith(INVALID):
            self.memory = reconcile.refused(self.memory, head, "bad", final=True, now=self.now, jitter=0.5)
            return
        phase = Phase.ROLLED_BACK if head.startswith(BAD) else Phase.SUCCEEDED
        self.record(head, phase, head)
        self.memory = reconcile.deployed(self.memory, head, self.releases[0].number)

    def person(self, back: int) -> None:
        """Somebody deploys an earlier commit of the branch, and it works."""
        good = [c for c in self.branch if c.startswith("good")]
        commit = good[max(0, len(good) - 1 - back)]
        self.record(commit, Phase.SUCCEEDED)
        self.kept = (commit, self.memory.head) if self.memory.head and commit != self.memory.head else None

    def happens(self, event: tuple[object, ...]) -> None:
        match event:
            case ("push", kind):
                self.branch.append(f"{kind}-{len(self.branch)}")
            case ("person", int(back)):
                self.person(back)
            case ("locked", int(back)):
                self.locked = True
                assert self.look() is Move.GIVE_WAY
                self.person(back)
                self.locked = False
            case ("restart",):
                self.memory = Memory()
                self.kept = None
            case ("git down",):
                self.git = False
            case ("git up",):
                self.git = True
            case ("killed",):
                self.record(self.branch[-1], Phase.APPLYING)
            case ("namespace deleted",):
                self.releases, self.kept = [], None
            case _:
                self.look()


@given(events)
def test_no_commit_is_deployed_twice_but_to_finish_what_died(happenings: list[tuple[object, ...]]) -> None:
    world = World()
    for event in happenings:
        world.happens(event)
        world.look()
        if event == ("restart",):
            # What cannot be read leaves no record, writes nothing, and is read once more.
            world.ours = Counter({c: n for c, n in world.ours.items() if not c.startswith(INVALID)})
    assert all(count == 1 for count in world.ours.values()), world.ours


@given(events)
def test_what_a_person_deployed_stays_until_the_branch_has_something_newer(
    happenings: list[tuple[object, ...]],
) -> None:
    world = World()
    world.look()
    for event in happenings:
        if event == ("killed",):
            continue
        world.happens(event)
        before = world.verified
        move = world.look()
        if world.kept and world.git and world.branch[-1] == world.kept[1]:
            assert move is Move.REST
            assert world.verified == before
            assert world.verified is not None
            assert world.verified.revision == world.kept[0]


@given(events, st.booleans())
def test_a_good_commit_that_comes_last_is_what_runs_in_the_end(
    happenings: list[tuple[object, ...]], restart: bool
) -> None:
    world = World()
    for event in happenings:
        world.happens(event)
    if restart:
        world.memory = Memory()
    world.git = True
    world.happens(("push", "good"))
    for _ in range(3):
        world.look()
    assert world.verified is not None
    assert world.verified.revision == world.branch[-1]
    assert world.look() is Move.REST


@given(events, st.booleans())
def test_what_somebody_deleted_with_all_its_records_comes_back(
    happenings: list[tuple[object, ...]], again: bool
) -> None:
    """Also where the branch has nothing new: what was done with was done in what is gone."""
    world = World()
    for event in happenings:
        world.happens(event)
    world.git = True
    world.happens(("push", "good"))
    for _ in range(3):
        world.look()
    for _ in range(1 + again):
        world.happens(("namespace deleted",))
        world.look()
        assert world.verified is not None
        assert world.verified.revision == world.branch[-1]
        assert world.look() is Move.REST


@given(events)
def test_nothing_stays_open(happenings: list[tuple[object, ...]]) -> None:
    world = World()
    world.look()
    for event in happenings:
        world.happens(event)
    world.git = True
    for _ in range(3):
        world.look()
    assert world.releases
    assert not world.releases[0].is_open


@given(st.integers(1, 2000), st.floats(1, 7200))
def test_a_field_that_drifts_all_the_time_is_put_back_ever_less_often(looks: int, interval_s: float) -> None:
    fights: dict[str, reconcile.Fight] = {}
    times = 0
    for look in range(looks):
        now = look * interval_s
        if reconcile.is_due(fights, ["x"], now):
            fights = reconcile.fought(fights, ["x"], now, interval_s)
            times += 1
    longest = max(reconcile.LONGEST_TRUCE_S, interval_s)
    doublings = math.log2(longest / interval_s)
    assert times <= doublings + 2 + looks * interval_s / longest
    assert times >= 1 + (looks - 1) * interval_s / (longest + interval_s) - 1


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1e9))
def test_no_wait_after_a_failure_is_longer_than_five_minutes_or_none(
    count: int, jitter: float, now: float
) -> None:
    before = reconcile.Trouble(message="x", since=0.0, count=count, again_at=0.0)
    wait = reconcile.troubled(before, "x", now, jitter).again_at - now
    assert 0 < wait <= reconcile.LONGEST_WAIT_S + 1e-3
