"""How much of its repository a clone holds, and how the rest comes here: by id, and only what is asked for.

A clone may lack commits (shallow: ``--depth``), the history between two that it has, or contents (partial:
``--filter``). git itself would fetch the latter on its own, with whatever program the clone's configuration
names; here only ``git_fetch`` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from functools import cached_property

from pipeline.adapters.git_command import Git, object_id
from pipeline.model.errors import InterruptedRunError, InvalidError, PipelineError, UnreachableError

_STEPS = (50, 500, 5000)
"""Commits by which a shallow history is deepened, until it is known whether one contains the other."""

_SKEW_S = 86_400
"""How far clocks of committers may be apart before a commit is taken for older than its ancestor."""

_NOOP = (("fetch.negotiationAlgorithm", "noop"),)  # else the host leaves out what a whole clone would have
_LACKING = re.compile(rb"^\?([0-9a-f]{40}(?:[0-9a-f]{24})?)$", re.MULTILINE)


class Clone:
    """What is here and what is not. ``stopped`` ends a fetch that is under way."""

    def __init__(self, git: Git, stopped: Callable[[], bool]) -> None:
        self._git = git
        self._stopped = stopped
        self._lost: dict[str, PipelineError] = {}
        self._complete: set[str] = set()
        self._left_out: set[str] = set()

    def has(self, commit: str) -> bool:
        code, _ = self._git("cat-file", "-e", f"{object_id(commit)}^{{commit}}", accept=(0, 1, 128))
        return code == 0

    def is_shallow(self) -> bool:
        """Whether the history is cut off."""
        _, output = self._git("rev-parse", "--is-shallow-repository")
        return output.strip() == b"true"

    @cached_property
    def is_partial(self) -> bool:
        """Whether contents were left out that its remote has promised to hand in later."""
        _, output = self._git(
            "config", "--type=bool", "--get-regexp", r"^remote\..*\.promisor$", accept=(0, 1)
        )
        return b" true\n" in output

    @cached_property
    def _is_writable(self) -> bool:
        """False for a read-only volume, and for another user's files."""
        _, output = self._git("rev-parse", "--git-common-dir")
        return os.access(self._git.work_tree / os.fsdecode(output).strip("\n") / "objects", os.W_OK)

    # --- commits

    def obtain(self, commit: str) -> PipelineError | None:
        """Fetch a commit that is not here; None where it is here now, else why not. A host is asked once."""
        if self.has(commit):
            return None
        if not commit.strip("0"):
            return InvalidError("no commit has that id")
        if commit not in self._lost:
            options = ("--depth=1",) if self.is_shallow() else ()
            failed = self._fetch([commit], *options)
            if failed is None and not self.has(commit):
                failed = InvalidError("what has that id is no commit")
            if failed is None:
                return None
            self._lost[commit] = failed
        return self._lost[commit]

    def is_ancestor(self, old: str, new: str) -> bool | None:
        """Whether ``new`` contains ``old``; None where one of them, or the history between, cannot be had."""
        if any(self.obtain(commit) is not None for commit in (old, new)):
            return None
        for step in (*_STEPS, 0):
            if self._contains(new, old):
                return True
            if not self.is_shallow() or self._contains(old, new):
                return False
            # Dates alone would believe a wrong clock; with a first step behind it, it takes an odd one, too.
            if step != _STEPS[0] and self._ends_before(new, old):
                return False
            if not step or self._fetch([new, old], f"--deepen={step}") is not None:
                return None
        return None

    def _contains(self, new: str, old: str) -> bool:
        code, _ = self._git("merge-base", "--is-ancestor", object_id(old), object_id(new), accept=(0, 1))
        return code == 0

    def _ends_before(self, new: str, old: str) -> bool:
        """Whether all that is cut off of ``new``'s history was committed long before ``old``."""
        ends = self._dates("--max-parents=0", new)
        (date,) = self._dates("--no-walk", old)
        return max(ends) + _SKEW_S < date

    def _dates(self, option: str, commit: str) -> list[int]:
        _, output = self._git("rev-list", "--timestamp", option, object_id(commit))
        return [int(line.split(b" ")[0]) for line in output.splitlines()]

    # --- contents

    def complete(self, commit: str) -> PipelineError | None:
        """See to it that all folders of a commit are here; why that cannot be, or None."""
        if not self.is_partial or commit in self._complete:
            return None
        folders = self._missing(commit, "--filter=blob:none")
        failed = self._filled(folders, f"the folders of {commit[:12]}") if folders else None
        if failed is None:
            self._complete.add(commit)
            self._left_out |= self._missing(commit)
        return failed

    def fill(self, blobs: Collection[str]) -> None:
        """Fetch those that a filter left out. UnreachableError where they cannot be had."""
        lacking = self._left_out.intersection(blobs)
        if not lacking:
            return
        failed = self._filled(lacking, f"{len(lacking)} files")
        if failed:
            raise failed
        self._left_out -= lacking

    def _missing(self, commit: str, *options: str) -> set[str]:
        """The objects of a commit that are not here. git's other commands end at the first of them."""
        _, output = self._git(
            "rev-list", "--objects", "--no-walk", "--missing=print", *options, object_id(commit)
        )
        return {found.decode() for found in _LACKING.findall(output)}

    def _filled(self, ids: Collection[str], what: str) -> PipelineError | None:
        failed = self._fetch(ids, "--filter=blob:none", partial=True)
        return failed and UnreachableError(
            f"read {what}: this partial clone lacks them, and they cannot be fetched ({failed.message})",
            hint=failed.hint or "clone without --filter (no `filter` for actions/checkout)",
        )

    def _fetch(self, ids: Collection[str], *options: str, partial: bool = False) -> PipelineError | None:
        """What went wrong, or None. A signal ends the run, and is no reason to go on without."""
        from pipeline.adapters.git_fetch import by_id  # late: most runs ask no git host

        if not self._is_writable:
            return UnreachableError(
                "the clone cannot be written to, so nothing is fetched into it",
                hint="let this user write to its .git, or clone what is needed: fetch-depth: 0, no filter",
            )
        try:
            by_id(self._git, sorted(ids), self._stopped, *options, settings=_NOOP if partial else ())
        except (InvalidError, UnreachableError) as error:
            if self._stopped():
                raise InterruptedRunError(error.message, hint=error.hint) from error
            return error
        return None
