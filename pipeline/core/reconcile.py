"""What `reconcile` does next (decision 18): from what one look found and what is remembered of earlier ones.

Each commit of the branch is deployed once. Whatever came of it, it is not deployed a second time by itself: a
commit that failed cannot loop, and what a person deployed instead of it stays until the branch moves on.
What is remembered has a fixed size, and most of it also stands in the records (``Release.followed``), so that
a restart changes little. Moments are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pipeline.model.release import Phase, Release

FIRST_WAIT_S = 5.0
LONGEST_WAIT_S = 300.0
"""Between two tries of what failed: doubled from the first to the longest."""

LONGEST_TRUCE_S = 3600.0
"""A field that somebody changes again and again is put back at least this often."""

FOUGHT = 3
"""Times that a field was put back, from which it is called a fight."""

MOST_FIGHTS = 1000
"""Fields that are remembered; beyond that the oldest are forgotten, and put back in every round."""

UNHEALTHY_AFTER = 3
"""Intervals without a look at git and cluster that went well."""

LEAST_PATIENCE_S = 10.0

_SETTLED = (Phase.SUCCEEDED, Phase.ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What failed ``count`` times in a row; not to be tried before ``again_at``."""

    message: str
    since: float
    count: int
    again_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A commit that came to nothing without leaving a record. ``final``: only another commit mends it."""

    head: str
    trouble: Trouble
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fight:
    """A field that was put back ``count`` times, the last time at ``last``."""

    count: int
    last: float
    again_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What one process remembers from look to look.

    ``head`` is the branch's commit at the last look, ``newest`` the number of the newest release that had
    ended by then (None: it never looked), ``followed`` the branch's commit that needs no deploy any more.
    """

    head: str = ""
    newest: int | None = None
    followed: str = ""
    refused: Refused | None = None
    put_back: Trouble | None = None
    fights: Mapping[str, Fight] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one look found. ``head`` is empty where git could not be asked.

    ``on_record``: a release of ``head`` is recorded. ``affected``: files that the environment depends on
    changed between ``base`` and ``head``. ``differs``: the same from what runs.
    """

    head: str
    newest: Release | None
    verified: Release | None
    locked: bool = False
    on_record: bool = False
    affected: bool = True
    differs: bool = True


class Move(StrEnum):
    """The next step: ``PUT_BACK`` deploys the last verified release from its record."""

    DEPLOY = "deploy"
    PUT_BACK = "put-back"
    GIVE_WAY = "give-way"
    REST = "rest"


@dataclass(frozen=True, slots=True)
class Decision:
    """``why`` says why a release is put back, or why the branch's commit is not deployed."""

    move: Move
    why: str = ""


def base(memory: Memory, newest: Release | None, verified: Release | None) -> str:
    """The commit from which the branch's is compared; empty where nothing is known."""
    recorded = newest.followed if newest else ""
    return memory.followed or recorded or (verified.revision if verified else "")


def looked(memory: Memory, newest: Release | None) -> Memory:
    """Take notice of what others did with the records since the last look.

    Who deployed another commit than the one that the branch was at meant it: that one is followed up. Where
    the newest records are gone, as with a namespace that was deleted, what they said is forgotten: a process
    that begins now would know no more.
    """
    if memory.newest and (newest is None or newest.number < memory.newest):
        memory = replace(memory, newest=None, followed="")
    if newest is None or newest.is_open:
        return memory
    is_news = memory.newest is not None and newest.number > memory.newest
    if is_news and newest.phase is Phase.SUCCEEDED and memory.head:
        memory = replace(memory, followed=memory.head, refused=None)
    return replace(memory, newest=newest.number)


def decide(memory: Memory, sight: Sight, now: float) -> Decision:
    """The next step after ``looked``."""
    if sight.locked:
        return Decision(Move.GIVE_WAY)
    if sight.newest is not None and sight.newest.is_open:
        return _take_over(memory, sight, sight.newest, now)
    if not _is_new(memory, sight):
        return Decision(Move.REST, _kept(sight))
    return _deploy(memory, sight, now)


def seen(memory: Memory, sight: Sight, decision: Decision) -> Memory:
    """What a look leaves: the branch's commit, and whether it is done with."""
    if not sight.head:
        return memory
    refused = memory.refused if memory.refused and memory.refused.head == sight.head else None
    memory = replace(memory, head=sight.head, refused=refused)
    is_done = decision.move is Move.REST and not _is_new(memory, sight)
    return replace(memory, followed=sight.head) if is_done else memory


def deployed(memory: Memory, head: str, newest: int | None) -> Memory:
    """The branch's commit was deployed, or failed and is on record."""
    return replace(memory, followed=head, newest=newest, refused=None)


def refused(memory: Memory, head: str, message: str, *, final: bool, now: float, jitter: float) -> Memory:
    """The branch's commit was refused before anything was written."""
    before = memory.refused.trouble if memory.refused and memory.refused.head == head else None
    trouble = troubled(before, message, now, jitter)
    return replace(memory, refused=Refused(head=head, trouble=trouble, final=final))


def forgiven(memory: Memory, now: float) -> Memory:
    """Somebody says that it is worth another try now."""
    refused, put_back = memory.refused, memory.put_back
    if refused is not None:
        refused = replace(refused, trouble=replace(refused.trouble, again_at=now))
    if put_back is not None:
        put_back = replace(put_back, again_at=now)
    return replace(memory, refused=refused, put_back=put_back)


def may_put_back(memory: Memory, sight: Sight, now: float) -> bool:
    """Whether drift is ours to correct: what runs is a verified release, as far as the records say."""
    if sight.locked or sight.newest is None or sight.verified is None:
        return False
    return sight.newest.phase in _SETTLED and _is_over(memory.put_back, now)


def troubled(before: Trouble | None, message: str, now: float, jitter: float) -> Trouble:
    """One failure more. ``jitter`` is 0 to 1: runners that failed together do not come back together."""
    count = before.count + 1 if before else 1
    wait = doubled(count, FIRST_WAIT_S, LONGEST_WAIT_S) * (0.8 + 0.2 * jitter)
    since = before.since if before else now
    return Trouble(message=message, since=since, count=count, again_at=now + wait)


def doubled(count: int, first_s: float, longest_s: float) -> float:
    """The wait after the ``count``-th time."""
    return min(first_s * 2.0 ** min(count - 1, 64), longest_s)


def is_due(fights: Mapping[str, Fight], fields: Sequence[str], now: float) -> bool:
    """Whether one of the fields that drifted is to be put back now."""
    return any(name not in fights or now >= fights[name].again_at for name in fields)


def fought(
    fights: Mapping[str, Fight], fields: Sequence[str], now: float, interval_s: float
) -> dict[str, Fight]:
    """These fields are being put back; each time the next truce is twice as long.

    What was left alone for a longest truce, or twice its own, is forgotten.
    """
    kept = {name: f for name, f in fights.items() if now - f.last <= _memory_s(f)}
    for name in fields:
        before = kept.pop(name, None)
        count = before.count + 1 if before else 1
        truce = doubled(count, interval_s, max(LONGEST_TRUCE_S, interval_s))
        kept[name] = Fight(count=count, last=now, again_at=now + truce)
    return dict(list(kept.items())[-MOST_FIGHTS:])


def next_look(*, now: float, interval_s: float, jitter: float, again: Sequence[float]) -> float:
    """Seconds until the next look: the interval, give or take a tenth, or sooner where something is due."""
    usual = now + interval_s * (0.9 + 0.2 * jitter)
    return max(0.0, min((usual, *again)) - now)


def is_healthy(*, now: float, success_at: float, interval_s: float, busy_until: float) -> bool:
    """Whether a look went well lately. A deploy that is under way may take the time that it is given."""
    patience = max(UNHEALTHY_AFTER * interval_s, LEAST_PATIENCE_S)
    return now <= max(success_at + patience, busy_until)


def _memory_s(fight: Fight) -> float:
    return max(LONGEST_TRUCE_S, 2.0 * (fight.again_at - fight.last))


def _is_over(trouble: Trouble | None, now: float) -> bool:
    return trouble is None or now >= trouble.again_at


def _is_new(memory: Memory, sight: Sight) -> bool:
    return bool(sight.head and sight.head != memory.followed and not sight.on_record and sight.affected)


def _deploy(memory: Memory, sight: Sight, now: float) -> Decision:
    refused = memory.refused
    if refused is None or refused.head != sight.head:
        return Decision(Move.DEPLOY)
    if refused.final or not _is_over(refused.trouble, now):
        return Decision(Move.REST, f"{sight.head[:12]} is held: {refused.trouble.message}")
    return Decision(Move.DEPLOY)


def _take_over(memory: Memory, sight: Sight, dead: Release, now: float) -> Decision:
    """What a run that died left: finished where it was of the branch's commit, or gives way to that; else
    what was verified last comes back. Nobody's intention is kept that was never verified."""
    if sight.head and (dead.revision == sight.head or _is_new(memory, sight)):
        decision = _deploy(memory, sight, now)
        if decision.move is Move.DEPLOY:
            return decision
    why = f"release {dead.number} was left {dead.phase}"
    if sight.verified is not None:
        return Decision(Move.PUT_BACK if _is_over(memory.put_back, now) else Move.REST, why)
    return _deploy(memory, sight, now) if sight.head else Decision(Move.REST, why)


def _kept(sight: Sight) -> str:
    """Why what runs is not what the branch says; empty where it is."""
    newest = sight.newest
    if not sight.head or newest is None:
        return ""
    if newest.phase in (Phase.FAILED, Phase.ROLLBACK_FAILED):
        return f"release {newest.number} was left {newest.phase}: it needs a person, or a newer commit"
    if newest.revision == sight.head:
        if newest.phase is Phase.SUCCEEDED:
            return ""
        why = f": {newest.message}" if newest.message else ""
        return f"{sight.head[:12]} is held: release {newest.number} was rolled back{why}"
    if not sight.differs:
        return ""
    running = sight.verified or newest
    return (
        f"release {running.number} at {running.revision[:12]}, by {running.actor or 'unknown'}, stays: "
        f"the branch has nothing newer than {sight.head[:12]}, which is not deployed a second time"
    )
