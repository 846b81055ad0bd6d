"""Planted bugs: known-bad patches of the product, each with the case that has to find it.

    python -m tests.fault.bugs                # plants each in a copy of the product, and prints the score
    python -m tests.fault.bugs --only fence   # those whose name holds the word

A patch is data: where a text has moved, nothing is planted and the runner says so (a test looks, too).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from tests.e2e.workspace import ROOT
from tests.fault.matrix import Case, Matrix, Verdict
from tests.fault.processes import end_with_us
from tests.fault.stage import World, opened

AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """``old`` stands in the file once, and becomes ``new``."""

    file: str
    old: str
    new: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """``found_by`` is the cheapest case that must find it; ``as_`` a part of what it says then."""

    edits: Sequence[Edit]
    found_by: str
    as_: str


def _bug(file: str, old: str, new: str, found_by: str, as_: str) -> Bug:
    return Bug(edits=(Edit(file=f"pipeline/{file}", old=old, new=new),), found_by=found_by, as_=as_)


WHOLE = "change/exit:kill:1/s2"  # an ordinary deploy: it is over when it is killed
WHOLE_FAILURE = "failing/exit:kill:1/s2"  # the next run deploys the same again, and goes back again
ASLEEP = "change/apply-pre:stop:2/s2"
HALF_APPLIED = "change/apply-post:kill:5/s1"  # the next run deploys the commit before

ACQUIRED = "    holder_died = session.lock.acquire(request.wait_lock_s)\n"
FENCE = "        self._sending.fence = self.fence if call.fenced else nothing\n"
UNFENCED = "        self._sending.fence = nothing\n"
RENEWAL = '        lease = {**self._lease, "spec": {**self._lease["spec"], "renewTime": self._now()}}\n'
FORGOTTEN = "        restored += [change] if change else []\n"
UNVERSIONED = """\
        lease["metadata"] = {k: v for k, v in lease["metadata"].items() if k != "resourceVersion"}
"""

BUGS: Mapping[str, Bug] = {
    "the intent is recorded after the apply": _bug(
        "run/attempt.py",
        "        failpoint.passing(Point.INTENT_PRE)\n        self._store()\n",
        "        failpoint.passing(Point.INTENT_PRE)\n",
        WHOLE,
        "before its intent was durable",
    ),
    "the intent lists only what was owned before": _bug(
        "run/attempt.py",
        "inventory=planner.union(self.owned, inventory.intended(self.planned)),",
        "inventory=self.owned,",
        HALF_APPLIED,
        "is there",
    ),
    "old parts of a record go before its head is written": _bug(
        "adapters/records.py",
        "        failpoint.passing(Point.RECORD_MID)\n",
        "        for name in set(stale).difference(*shards.values()):\n"
        '            self._cluster.delete(self._ref(name), "v1")\n'
        "        failpoint.passing(Point.RECORD_MID)\n",
        "change/record-mid:kill:3/s1",
        "I6 next ended with",
    ),
    "the head is written without its version": Bug(
        edits=(
            Edit(
                file="pipeline/adapters/records.py",
                old='            head["metadata"]["resourceVersion"] = known\n',
            ),
            Edit(file="pipeline/adapters/http.py", old=FENCE, new=UNFENCED),
            Edit(
                file="pipeline/run/attempt.py",
                old="            self.session.lock.check()\n",
            ),
        ),
        found_by="change/apply-post:stop:2/s2",
        as_="held the lock",
    ),
    "the lock is given up before anything is recorded": _bug(
        "run/deploy.py",
        f"{ACQUIRED}    session.locked = True\n",
        f"{ACQUIRED}    session.lock.release()\n    session.locked = True\n",
        WHOLE,
        "while nobody held the lock",
    ),
    "the lock is never given up": _bug(
        "adapters/lease.py",
        "        if self._lease is None or self._lost:\n            return\n",
        "        return\n",
        "change/unlock-post:term:1/s1",
        "did not give the lock up",
    ),
    "a lost lock is ignored": _bug(
        "adapters/lease.py",
        "    def check(self) -> None:\n",
        "    def check(self) -> None:\n        return\n",
        ASLEEP,
        "I4 first sent",
    ),
    "no write is fenced": _bug("adapters/http.py", FENCE, UNFENCED, ASLEEP, "I4 first sent"),
    "a dead holder is not told from a live one": _bug(
        "adapters/lease.py",
        "            or self._left_s(lease) < 0\n",
        "",
        "change/apply-post:kill:1/s3",
        "I6 next ended with",
    ),
    "a live holder is taken for dead": _bug(
        "adapters/lease.py",
        " + duration + 1.0 - self._cluster.server_time()",
        " - self._cluster.server_time()",
        ASLEEP,
        "had renewed it",
    ),
    "a renewal takes the lock back": Bug(
        edits=(
            Edit(file="pipeline/adapters/lease.py", old=RENEWAL, new=RENEWAL + UNVERSIONED),
            Edit(file="pipeline/adapters/lease.py", old="SAFE_S = 10.0\n", new="SAFE_S = 1000.0\n"),
        ),
        found_by=ASLEEP,
        as_="I4 first",
    ),
    "the lock is not renewed": _bug(
        "adapters/lease.py",
        "        while not self._ended.wait(RENEW_S):\n",
        "        while not self._ended.wait(600.0):\n",
        "stateful/start:kill:1/s2",
        "the lock was last renewed",
    ),
    "a signal is not heard": _bug(
        "run/session.py",
        "        if self.stopped():\n",
        "        if False:\n",
        "change/apply-pre:term:1/s2",
        "I6 first ended with 0",
    ),
    "a plan of before the lock is carried out": _bug(
        "run/deploy.py",
        "    if attempt.planned is None or attempt.is_overtaken():\n",
        "    if attempt.planned is None:\n",
        "change/lock-pre:stop:1/s2",
        "I6 first ended with",
    ),
    "what was read beside a plan is trusted whoever had the lock since": _bug(
        "run/overtaken.py",
        " and self._session.lock.is_as_seen:\n",
        ":\n",
        "change/lock-pre:stop:1/s2",
        "I6 first ended with",
    ),
    "a takeover forgets the state before": _bug(
        "run/attempt.py",
        "        return dict(self.latest.before) if self.latest and self.latest.is_unresolved else {}\n",
        "        return {}\n",
        "failing/apply-post:kill:3/s2",
        "the state is not the old one",
    ),
    "a takeover forgets what the dead run made": _bug(
        "run/attempt.py",
        "        self.owned = self.latest.inventory if self.latest else ()\n",
        "        self.owned = self.verified.inventory if self.verified else ()\n",
        HALF_APPLIED,
        "is there",
    ),
    "a release that was taken over stays open": _bug(
        "run/attempt.py",
        "            predecessors.close(self.session, self.latest, number)\n",
        "            pass\n",
        "change/apply-post:kill:1/s3",
        "is still APPLYING",
    ),
    "what is deleted may be another object": _bug(
        "run/prune.py",
        "        session.cluster.delete(change.ref, change.api_version, uid=change.uid)\n",
        "        session.cluster.delete(change.ref, change.api_version)\n",
        WHOLE,
        "whatever object that was",
    ),
    "a rollback may delete another object": _bug(
        "run/rollback.py",
        "            self._session.cluster.delete(change.ref, change.api_version, uid=change.uid)\n",
        "            self._session.cluster.delete(change.ref, change.api_version)\n",
        WHOLE_FAILURE,
        "whatever object that was",
    ),
    "a replacement may delete another object": _bug(
        "run/send.py",
        "uid=change.uid, orphan=orphan)\n",
        "orphan=orphan)\n",
        "recreate/exit:kill:1/s2",
        "whatever object that was",
    ),
    "a rollback forgets what was created": _bug(
        "core/rollback.py",
        "            created += [change] if change else []\n",
        "",
        WHOLE_FAILURE,
        "I6 next ended with 13",
    ),
    "a rollback forgets what was changed": _bug(
        "core/rollback.py",
        FORGOTTEN,
        "",
        WHOLE_FAILURE,
        "I6 next ended with 13",
    ),
    "what a rollback could not bring back is forgotten": Bug(
        edits=(
            Edit(file="pipeline/core/rollback.py", old=FORGOTTEN),
            Edit(
                file="pipeline/model/release.py",
                old="self.phase not in (Phase.SUCCEEDED, Phase.ROLLED_BACK)",
                new="self.is_open",
            ),
        ),
        found_by=WHOLE_FAILURE,
        as_="I1 next ended with 10, and the state is not the old one",
    ),
    "a rollback is called a success": _bug(
        "run/phases.py",
        "        outcome.exit_code = ExitCode.ROLLED_BACK\n",
        "        outcome.exit_code = ExitCode.OK\n",
        WHOLE_FAILURE,
        "I6 next ended with 0",
    ),
    "nobody waits for the rollout": _bug(
        "run/phases.py",
        "        result = finish(session, gate, budget_s=attempt.budget_left())\n"
        "    if not _note_rollout(attempt, result):\n",
        "        result = RolloutResult(ok=True, entries=())\n    if not _note_rollout(attempt, result):\n",
        WHOLE_FAILURE,
        "I6 next ended with",
    ),
    "nothing is pruned": _bug(
        "run/phases.py",
        "    going = [c for c in plan.changes if c.action is Action.DELETE]\n",
        "    going: list[Change] = []\n",
        WHOLE,
        "is there",
    ),
    "old releases stay for ever": _bug(
        "run/attempt.py",
        "lambda: self.session.releases.trim(KEPT - 1)",
        "lambda: None",
        "change/trim-mid:kill:1/s1",
        "releases are kept",
    ),
    "parts of old releases stay for ever": _bug(
        "adapters/records.py",
        '        for meta in [*parts, *(meta for meta in metas if meta["name"] == head)]:\n',
        '        for meta in [meta for meta in metas if meta["name"] == head]:\n',
        "change/trim-mid:term:1/s1",
        "belongs to no release",
    ),
    "what a run died over is never swept": _bug(
        "run/deploy.py",
        "        if holder_died:\n            attempt.sweep()\n",
        "",
        "change/record-mid:kill:1/s1",
        "belongs to no release",
    ),
    "what is refused before the lock is refused for good": _bug(
        "run/deploy.py",
        "        if not attempt.is_overtaken():\n            raise\n",
        "        raise\n",
        "recreate/write-sent:stop:6/s793",
        "first ended with 21",
    ),
    "what did not change is written all the same": Bug(
        edits=(
            Edit(
                file="pipeline/core/planner.py",
                old="    if entry is None or live is None or entry.content != desired.content:\n",
                new="    if True:\n",
            ),
            Edit(
                file="pipeline/core/planner.py",
                old="    elif fields or adopted or dry.takes_over:\n",
                new="    elif True:\n",
            ),
        ),
        found_by=WHOLE,
        as_="though nothing was to be done",
    ),
    "secret values are shown": Bug(
        edits=(
            Edit(
                file="pipeline/core/diff.py",
                old='        return f"<masked #{self._numbers.setdefault(value, len(self._numbers) + 1)}>"\n',
                new='        return value.decode(errors="replace")\n',
            ),
            Edit(file="pipeline/run/session.py", old="        self.redact(*values)\n"),
        ),
        found_by=WHOLE,
        as_="showed a secret",
    ),
}


def misplaced(bug: Bug) -> list[str]:
    """The edits whose old text does not stand in its file exactly once."""
    return [
        f"{edit.file}: {(ROOT / edit.file).read_text().count(edit.old)} times: {edit.old!r}"
        for edit in bug.edits
        if (ROOT / edit.file).read_text().count(edit.old) != 1
    ]


def planted(bug: Bug, folder: Path) -> Path:
    """A copy of the product with the bug; ValueError where there is no place for it."""
    if wrong := misplaced(bug):
        raise ValueError("; ".join(wrong))
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for edit in bug.edits:
        file = folder / edit.file
        file.write_text(file.read_text().replace(edit.old, edit.new))
    return folder


def hunted(world: World, bug: Bug, folder: Path) -> Verdict:
    """What its case says of the product with the bug."""
    return Matrix(replace(world, product=planted(bug, folder))).one(Case.parse(bug.found_by))


def is_found(bug: Bug, verdict: Verdict) -> bool:
    return any(bug.as_ in violation for violation in verdict.violations)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fault.bugs", description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", help="those whose name holds this; may be repeated")
    return parser.parse_args()


def main() -> int:
    """Exit 1 where a bug is not found, or where a case finds one in the product as it is."""
    only = _arguments().only or [""]
    bugs = {name: bug for name, bug in BUGS.items() if any(word in name for word in only)}
    end_with_us()
    sound = sorted({bug.found_by for bug in bugs.values()})
    with (
        tempfile.TemporaryDirectory() as text,
        opened(Path(text)) as world,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        folders = [Path(text) / f"bug-{number}" for number in range(len(bugs))]
        hunts = [pool.submit(hunted, world, bug, at) for bug, at in zip(bugs.values(), folders, strict=True)]
        controls = [pool.submit(Matrix(world).one, Case.parse(name)) for name in sound]
        names = dict(zip(hunts, bugs, strict=True))
        score = sum(_told(names[hunt], bugs[names[hunt]], hunt.result()) for hunt in as_completed(hunts))
        wrong = sum(_is_wrong(control.result()) for control in controls)
    print(f"{score} of {len(bugs)} planted bugs found; {wrong} of {len(sound)} cases find one where none is")
    return 0 if score == len(bugs) and not wrong else 1


def _told(name: str, bug: Bug, verdict: Verdict) -> bool:
    found = is_found(bug, verdict)
    print(f"{'found' if found else 'MISSED'}  {name}  ({verdict.case})", flush=True)
    for line in [] if found else [f"codes {dict(verdict.codes)}", *verdict.violations[:5]]:
        print(f"        {line}", flush=True)
    return found


def _is_wrong(verdict: Verdict) -> bool:
    if verdict.violations:
        print(f"WRONG   {verdict.case} in the product as it is: {verdict.violations[0]}", flush=True)
    return bool(verdict.violations)


if __name__ == "__main__":
    sys.exit(main())
