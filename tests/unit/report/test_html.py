"""The page of a release: self-contained, and nothing in it that others wrote acts."""

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest

from pipeline.report import document
from pipeline.report.html import release_page

from .hostile import TEXTS, active
from .hostile_runs import hostile_outcome
from .samples import rollback_failed, rolled_back, succeeded


class Reader(HTMLParser):
    """Tags with their attributes in order, and the text between them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(sorted(name for name, _ in attrs))))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def page_of(outcome):
    plan = document.plan_document(outcome.plan) if outcome.plan else None
    facts = {"actor": outcome.release.actor, "started": outcome.release.started}
    return release_page(document.report_document(outcome), facts, plan)


def test_a_page_says_what_happened():
    text = Reader(page_of(rolled_back())).text
    for part in (
        "release 7 of dev",
        "rolled-back",
        "alice",
        "ImageNotFound",
        "manifest unknown",
        "check that the tag exists",
        "verified by comparison",
        "spec.template.spec.containers[0].image: nginx:1.21 → nginx:1.22",
        "apps/Deployment/demo/web",
        "6.3 s",
    ):
        assert part in text
    failed = Reader(page_of(rollback_failed())).text
    assert "NOT verified" in failed
    assert "spec.replicas" in failed


def test_a_page_loads_nothing_and_runs_nothing():
    page = page_of(succeeded())
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy == (f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{digest}'")
    assert not re.search(r"<(script|link|img|iframe|object|embed|base|form)|url\(|@import|src=|href=", page)
    assert Reader(page).open == []


@pytest.mark.parametrize("text", TEXTS)
def test_what_others_wrote_is_text_on_the_page(text):
    page = page_of(hostile_outcome(text))
    reader = Reader(page)
    assert active(page) == []
    assert {tag for tag, _ in reader.tags} == {tag for tag, _ in Reader(page_of(hostile_outcome("x"))).tags}
    assert {names for _, names in reader.tags} <= {
        (),
        ("lang",),
        ("charset",),
        ("content", "http-equiv"),
        ("content", "name"),
        ("class",),
    }


def test_of_an_empty_report_there_is_a_page():
    outcome = succeeded()
    outcome.plan = None
    outcome.applied = outcome.rollout = outcome.checks = ()
    assert "<h2>Changes" not in page_of(outcome)
