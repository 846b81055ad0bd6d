"""Which branch a run is about: what is checked out, or what GitHub Actions says where HEAD is detached."""

from __future__ import annotations

import re
from dataclasses import dataclass

_QUEUE = re.compile(r"gh-readonly-queue/(?P<branch>.+)/pr-[0-9]+-[0-9a-f]{40}")
"""What GitHub's merge queue tests: the commit that its branch will have, not has."""

_HEADS, _TAGS, _PULL = "refs/heads/", "refs/tags/", "refs/pull/"


@dataclass(frozen=True, slots=True)
class Branches:
    """``at``: the branch whose commit this is, or empty; ``into``: the one that it is on, or is to be on.

    ``why_none``: why nothing that deploys on merge is deployed of it, or empty.
    """

    at: str
    into: str
    why_none: str = ""


def branches(checked_out: str, ref: str = "", base: str = "") -> Branches:
    """``ref`` and ``base`` are GitHub's ``GITHUB_REF`` and ``GITHUB_BASE_REF``; they speak only where nothing
    is checked out: a workflow may check out what its event is not about."""
    name = checked_out or (ref.removeprefix(_HEADS) if ref.startswith(_HEADS) else "")
    if queued := _QUEUE.fullmatch(name):
        target = queued["branch"]
        return Branches(name, target, f"this commit of the merge queue is not on {target} yet")
    if name:
        return Branches(name, name)
    if ref.startswith(_PULL):
        return Branches("", base, f"this is the merge of a pull request, which is not on {base} yet")
    if ref.startswith(_TAGS):
        return Branches("", "", f"this is the tag {ref.removeprefix(_TAGS)}, which is no branch")
    return Branches("", "", "HEAD is detached, so there is no branch")
