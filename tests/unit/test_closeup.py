"""Of many, what explains is asked for where something is wrong, and not where all is only slow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.model.objects import ObjectRef
from pipeline.run.closeup import Closeup


class Watched:
    """A close-up of ``many`` or few, with a clock of its own."""

    def __init__(self, *, many: bool = True) -> None:
        self.now = 100.0
        self.followed: set[str] = set()
        sight: Any = SimpleNamespace(follow=lambda resource, *_, **__: self.followed.add(resource.kind))
        session: Any = SimpleNamespace(clock=SimpleNamespace(monotonic=lambda: self.now))
        self.closeup = Closeup(session, sight, many=many)

    def rolled_out(self, seconds: int, *, each_s: int, besides: tuple[ObjectRef, ...] = ()) -> None:
        """So long one Deployment a second is sent, and each is ready after ``each_s``; as before that."""
        sent = {deployment(f"before {self.now - n}"): self.now - n for n in range(1, each_s)}
        for second in range(seconds):
            sent[deployment(f"{second}-{self.now}")] = self.now
            for ref in [r for r, at in sent.items() if self.now - at >= each_s]:
                del sent[ref]
                self.closeup.progress()
            self.closeup.follow([*sent, *besides])
            self.now += 1


def deployment(name: str) -> ObjectRef:
    return ObjectRef("apps", "Deployment", "shop", name)


def test_of_few_it_is_followed_from_the_beginning() -> None:
    watched = Watched(many=False)
    watched.closeup.follow([deployment("web")])
    assert {"Pod", "Event", "ReplicaSet"} <= watched.followed


@pytest.mark.parametrize("each_s", [1, 8])
def test_many_that_come_up_one_after_the_other_are_left_alone_however_long_it_takes(each_s: int) -> None:
    watched = Watched()
    watched.rolled_out(200, each_s=each_s)
    assert not watched.followed


def test_one_that_takes_longer_than_the_others_is_looked_into() -> None:
    watched = Watched()
    watched.rolled_out(11, each_s=1, besides=(deployment("late"),))
    assert not watched.followed
    watched.rolled_out(1, each_s=1, besides=(deployment("late"),))
    assert "Event" in watched.followed


def test_where_all_are_slow_three_times_as_long_is_late() -> None:
    watched = Watched()
    late = deployment("late")
    watched.rolled_out(60, each_s=8)
    watched.rolled_out(24, each_s=8, besides=(late,))
    assert not watched.followed
    watched.rolled_out(3, each_s=8, besides=(late,))
    assert "Event" in watched.followed


def test_a_service_that_waits_for_its_pods_is_not_late() -> None:
    watched = Watched()
    watched.rolled_out(60, each_s=1, besides=(ObjectRef("", "Service", "shop", "web"),))
    assert not watched.followed


def test_many_that_stand_still_are_looked_into_after_two_seconds() -> None:
    watched = Watched()
    watched.rolled_out(20, each_s=1)
    watched.closeup.follow([deployment("stuck")])
    assert not watched.followed
    watched.now += 2
    watched.closeup.follow([deployment("stuck")])
    assert "Event" in watched.followed


def test_what_is_of_the_cluster_speaks_for_itself() -> None:
    """No pod and no event of a namespace tells of it: what it says is all there is to explain it by."""
    watched = Watched()
    watched.closeup.follow([ObjectRef("apiregistration.k8s.io", "APIService", "", "v1.example.com")])
    assert watched.closeup.sees
    watched.closeup.follow([deployment("web")])
    assert not watched.closeup.sees
