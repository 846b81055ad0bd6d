"""Health checks: what samples mean."""

import pytest

from pipeline.core import gates
from pipeline.model.environment import Check, HttpCheck
from pipeline.model.status import Sample, Verdict

CHECK = Check(name="home", probe=HttpCheck(service="web"), samples=3, deadline_s=30.0)


def samples(letters: str) -> list[Sample]:
    verdicts = {"p": Verdict.PASS, "f": Verdict.FAIL, "e": Verdict.ERROR}
    return [Sample(at_s=float(n), verdict=verdicts[c], message=f"sample {n}") for n, c in enumerate(letters)]


@pytest.mark.parametrize(
    ("taken", "elapsed", "verdict"),
    [
        pytest.param("", 0, None, id="without a sample there is no verdict yet"),
        pytest.param("", 31, Verdict.INCONCLUSIVE, id="silence until the deadline never passes"),
        pytest.param("pp", 2, None, id="two of three good samples are not enough"),
        pytest.param("ppp", 3, Verdict.PASS, id="three good samples in a row pass"),
        pytest.param("pfppp", 5, Verdict.PASS, id="a bad sample starts the row anew"),
        pytest.param("ppf", 3, None, id="one bad sample fails nothing before the deadline"),
        pytest.param("fff", 3, Verdict.FAIL, id="three bad samples in a row fail without waiting"),
        pytest.param("eee", 3, Verdict.INCONCLUSIVE, id="three samples that could not be taken say nothing"),
        pytest.param("pfpfpf", 31, Verdict.FAIL, id="flapping until the deadline fails"),
        pytest.param("pepepe", 31, Verdict.INCONCLUSIVE, id="good samples with gaps are not a row"),
    ],
)
def test_samples_make_a_verdict(taken, elapsed, verdict):
    result = gates.judge(CHECK, samples(taken), elapsed)
    assert (result.verdict if result else None) == verdict


def test_the_reason_quotes_the_last_sample_that_was_not_good():
    result = gates.judge(CHECK, samples("pff" + "f"), 4)
    assert result is not None
    assert "last: sample 3" in result.reason


def test_a_long_check_keeps_only_its_last_samples():
    result = gates.judge(CHECK, samples("pf" * 50), 31)
    assert result is not None
    assert len(result.samples) == 10
