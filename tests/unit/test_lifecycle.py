"""The life of a release."""

from itertools import product

import pytest

from pipeline.core.lifecycle import TRANSITIONS, IllegalTransitionError, advance
from pipeline.model.release import Phase, Release


def test_every_phase_has_its_row():
    assert set(TRANSITIONS) == set(Phase)


@pytest.mark.parametrize(("current", "following"), list(product(Phase, Phase)))
def test_a_phase_follows_or_is_refused(current, following):
    if following in TRANSITIONS[current]:
        assert advance(current, following) is following
    else:
        with pytest.raises(IllegalTransitionError):
            advance(current, following)


def test_every_phase_can_be_reached_from_the_first():
    reached, frontier = {Phase.PENDING}, [Phase.PENDING]
    while frontier:
        for following in TRANSITIONS[frontier.pop()] - reached:
            reached.add(following)
            frontier.append(following)
    assert reached == set(Phase)


@pytest.mark.parametrize("phase", list(Phase))
def test_what_a_dead_run_may_leave_behind_is_open(phase):
    release = Release(application="a", environment="e", number=1, id="x", revision="r", phase=phase)
    closed = {Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.ROLLBACK_FAILED}
    assert release.is_open == (phase not in closed)


def test_a_failed_release_is_closed_once_a_run_left_it_at_that():
    ended = "2027-01-15T08:00:00+00:00"
    release = Release(
        application="a", environment="e", number=1, id="x", revision="r", phase=Phase.FAILED, finished=ended
    )
    assert not release.is_open
