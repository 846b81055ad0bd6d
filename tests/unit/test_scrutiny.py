"""What a plan is examined by is asked beside the dry runs, and not a second time after them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import pytest

from pipeline.core.access import Access
from pipeline.core.kinds import builtin
from pipeline.model.errors import ApiError, PreflightError
from pipeline.model.objects import Manifest, Object, ObjectRef, ResourceType
from pipeline.ports import Tried
from pipeline.run.planning import make_plan
from tests.unit.predicting import read
from tests.unit.sessions import session_on

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: demo}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: nginx, envFrom: [{configMapRef: {name: given}}]}]
"""


class Server:
    """Takes a dry run only once it was asked for rights, quotas and references; ``denied`` is a verb that
    nobody may use, ``broken``: it has no quotas to tell of."""

    def __init__(self, denied: str = "", broken: bool = False, patient_s: float = 20) -> None:
        self.asked: Counter[str] = Counter()
        self.early: set[str] = set()
        self._denied, self._broken, self._patient_s = denied, broken, patient_s
        self._changed = threading.Condition()

    def lanes(self) -> int:
        return 4

    def resource(self, api_version: str, kind: str) -> ResourceType | None:
        return builtin(api_version, kind)

    def _note(self, question: str) -> None:
        with self._changed:
            self.asked[question] += 1
            self._changed.notify_all()

    def get(self, ref: ObjectRef, api_version: str) -> Object | None:
        self._note(ref.short)
        there = {"Namespace/demo", "ConfigMap/given"}
        return {"metadata": {"name": ref.name, "uid": "u"}} if ref.short in there else None

    def list(self, resource: ResourceType, namespace: str = "", selector: str = "") -> Any:
        self._note(resource.kind)
        if self._broken:
            raise ApiError("the list broke off", status=500)
        return [], "1"

    def allowed(self, access: Access) -> bool:
        self._note(f"{access.verb} {access.resource}")
        return access.verb != self._denied

    def try_apply(self, body: Object, *, force: bool = False) -> Tried:
        wanted = {"patch deployments", "create deployments", "ResourceQuota", "LimitRange", "ConfigMap/given"}
        with self._changed:
            self._changed.wait_for(lambda: wanted <= set(self.asked), self._patient_s)
            self.early = wanted & set(self.asked)
        return Tried(result={**body, "metadata": {**body["metadata"], "uid": "u"}}, created=True)

    def identity(self) -> str:
        return "ana"

    def version(self) -> str:
        return "1.36.0"


@pytest.fixture
def manifests() -> list[Manifest]:
    return list(read(DEPLOYMENT))


def test_it_is_asked_beside_the_dry_runs_and_once(manifests: list[Manifest]) -> None:
    server = Server()
    planned = make_plan(session_on(server), manifests, "commit", ())
    assert [str(change.action) for change in planned.plan.changes] == ["create"]
    assert len(server.early) == 5
    assert {question: n for question, n in server.asked.items() if question in server.early and n > 1} == {}


def test_a_right_that_is_missing_is_told_when_the_plan_is_examined(manifests: list[Manifest]) -> None:
    with pytest.raises(PreflightError) as refused:
        make_plan(session_on(Server(denied="create")), manifests, "commit", ())
    assert [(p.code, p.message) for p in refused.value.problems] == [
        ("permission-missing", "ana may not create deployments.apps in namespace demo")
    ]


def test_what_went_wrong_ahead_is_told_then(manifests: list[Manifest]) -> None:
    with pytest.raises(ApiError, match="the list broke off"):
        make_plan(session_on(Server(broken=True, patient_s=0)), manifests, "commit", ())


ENDS = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pipeline.model.errors import InterruptedRunError
from pipeline.run import scrutiny
from pipeline.run.planning import make_plan
from tests.unit.sessions import session_on
from tests.unit.test_scrutiny import DEPLOYMENT, Server, read

def ask_ahead(*_):
    while True:  # until the interpreter takes no more
        time.sleep(0.01)
        ThreadPoolExecutor(1).submit(int)

scrutiny.ask_ahead = ask_ahead
try:
    make_plan(session_on(Server(patient_s=0), lambda: True), read(DEPLOYMENT), "commit", ())
except InterruptedRunError:
    sys.exit(50)
"""


def test_a_run_that_is_told_to_end_meanwhile_ends_without_a_word() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (50, "")


def test_who_only_compares_asks_for_nothing_of_it(manifests: list[Manifest]) -> None:
    server = Server(patient_s=0)
    make_plan(session_on(server), manifests, "commit", (), only_compare=True)
    assert server.early == set()
    assert not any(question.startswith("create") for question in server.asked)
