"""The instruments measure what they say: the set, the distance, the counts, the times."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.bench import bare, chain, estate, real, scores, timed, verdicts
from tests.bench.chain import Measured, Step
from tests.bench.contenders import HOME_NAMESPACE, ROOT, Name
from tests.bench.delay import DelayProxy
from tests.bench.requests import OURS, PEER, Audit, Counts
from tests.bench.scores import FAR, NEAR


def test_the_set_is_25_namespaces_with_41_objects_each() -> None:
    kinds = Counter(yaml.safe_load(text)["kind"] for _, text in estate.files())
    assert kinds == {
        "Namespace": 25,
        "ServiceAccount": 125,
        "Secret": 125,
        "ConfigMap": 250,
        "Service": 250,
        "Deployment": 250,
    }


def test_every_reference_of_a_deployment_is_in_its_namespace() -> None:
    bodies = [yaml.safe_load(text) for _, text in estate.files(1)]
    names = {(one["kind"], one["metadata"]["name"]) for one in bodies}
    for deployment in (one for one in bodies if one["kind"] == "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        container = pod["containers"][0]
        assert ("ServiceAccount", pod["serviceAccountName"]) in names
        assert ("ConfigMap", container["envFrom"][0]["configMapRef"]["name"]) in names
        assert ("Secret", container["env"][0]["valueFrom"]["secretKeyRef"]["name"]) in names


def test_the_second_state_changes_the_pod_template_of_ten_deployments_and_nothing_else() -> None:
    first, second = dict(estate.files()), dict(estate.files(changed=True))
    different = [path for path in first if first[path] != second[path]]
    assert len(different) == estate.CHANGED == len({path.split("/")[0] for path in different})
    assert estate.changed_files(changed=True) == {path: second[path] for path in different}
    for path in different:
        template = yaml.safe_load(second[path])["spec"]["template"]
        assert template["metadata"]["annotations"] == {"release": "2"}


HANG_UP = b"."


class Echo:
    """A server that sends back what it gets, and closes after ``HANG_UP``."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(one,), daemon=True).start()

    def _answer(self, one: socket.socket) -> None:
        with one:
            while data := one.recv(65536):
                one.sendall(data)
                if data.endswith(HANG_UP):
                    return

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def test_a_byte_takes_the_round_trip_and_many_at_once_take_no_longer(echo: Echo) -> None:
    with DelayProxy(echo.port, 0.1) as far, socket.create_connection(("127.0.0.1", far.port)) as one:
        _ping(one)  # pays for the connection
        assert 0.2 <= _ping(one) < 0.35
        started = time.perf_counter()
        for number in range(20):
            one.sendall(bytes([number]))
            time.sleep(0.005)  # so that each is a chunk of its own
        received = _read(one, 20)
        assert received == bytes(range(20)), "in order"
        assert time.perf_counter() - started < 1.0, "each waits beside the others, not after them"


def test_a_new_connection_costs_one_round_trip_more(echo: Echo) -> None:
    with DelayProxy(echo.port, 0.1) as far, socket.create_connection(("127.0.0.1", far.port)) as one:
        assert 0.4 <= _ping(one) < 0.55


def test_the_end_of_one_side_reaches_the_other_after_what_was_sent(echo: Echo) -> None:
    with DelayProxy(echo.port, 0.02) as far, socket.create_connection(("127.0.0.1", far.port)) as one:
        one.settimeout(5)
        sent = b"x" * 300_000 + HANG_UP
        one.sendall(sent)
        assert _read(one, len(sent)) == sent
        assert one.recv(1) == b""


def test_the_proxy_ends_with_whoever_started_it(echo: Echo, tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from tests.bench.delay import DelayProxy\n"
        f"far = DelayProxy({echo.port}); far.__enter__()\n"
        "print(far.port, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = timed.run([sys.executable, "-c", program], env=_environ(), cwd=tmp_path, limit_s=20)
    port = int(done.stdout)
    limit = time.monotonic() + 5
    while _listens(port):
        assert time.monotonic() < limit, "the proxy still listens"
        time.sleep(0.05)


def _ping(one: socket.socket) -> float:
    started = time.perf_counter()
    one.sendall(b"!")
    assert _read(one, 1) == b"!"
    return time.perf_counter() - started


def _read(one: socket.socket, count: int) -> bytes:
    parts = []
    while count > 0:
        parts.append(one.recv(count))
        assert parts[-1], "closed too early"
        count -= len(parts[-1])
    return b"".join(parts)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _environ() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}


def test_processor_time_is_that_of_the_command_and_not_of_its_waiting(tmp_path: Path) -> None:
    program = "import time\nwhile time.process_time() < 0.4: pass\ntime.sleep(0.4)"
    done = timed.run([sys.executable, "-c", program], env=_environ(), cwd=tmp_path, limit_s=20)
    assert done.ok
    assert 0.4 <= done.cpu_s < done.seconds - 0.3


def test_peak_memory_is_in_mebibytes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "x = bytearray(400 * 2**20)"]
    done = timed.run(command, env=_environ(), cwd=tmp_path, limit_s=20)
    assert 400 < done.peak_mib < 600


def test_a_command_that_takes_too_long_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    program = f"sleep 60 & echo $! > {tmp_path}/child; wait"
    done = timed.run(["sh", "-c", program], env=_environ(), cwd=tmp_path, limit_s=0.5)
    assert done.stopped
    assert not done.ok
    assert done.seconds < 10
    child = int((tmp_path / "child").read_text())
    assert _is_gone(child)


def _is_gone(pid: int) -> bool:
    for _ in range(50):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("verb", "path", "target", "kind"),
    [
        ("patch", "/api/v1/namespaces/a/configmaps/x", ("configmaps", "a"), "writes"),
        ("patch", "/api/v1/namespaces/a/configmaps/x?dryRun=All&force=true", ("configmaps", "a"), "dry_runs"),
        (
            "create",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            ("selfsubjectaccessreviews", ""),
            "",
        ),
        ("update", "/apis/coordination.k8s.io/v1/namespaces/a/leases/l", ("leases", "a"), "own"),
        ("create", f"/api/v1/namespaces/{HOME_NAMESPACE}/secrets", ("secrets", HOME_NAMESPACE), "own"),
        ("create", "/api/v1/namespaces/a/secrets", ("secrets", "a"), "writes"),
        ("list", "/api/v1/configmaps", ("configmaps", ""), ""),
    ],
)
def test_only_what_changes_an_object_of_the_set_counts_as_a_write(
    verb: str, path: str, target: tuple[str, str], kind: str, tmp_path: Path
) -> None:
    audit = Audit(tmp_path)
    resource, namespace = target
    event = {
        "user": {"username": OURS},
        "verb": verb,
        "requestURI": path,
        "objectRef": {"resource": resource, "namespace": namespace},
    }
    (tmp_path / "audit.log").write_text(json.dumps(event) + "\n")
    counts = audit.counts(home=HOME_NAMESPACE)
    assert counts[PEER].total == 0
    assert counts[OURS].total == 1
    found = {name: getattr(counts[OURS], name) for name in ("writes", "dry_runs", "own")}
    assert found == {"writes": 0, "dry_runs": 0, "own": 0} | ({kind: 1} if kind else {})
    assert audit.take() == {OURS: 0, PEER: 0}, "nothing is counted twice"


def test_the_bare_loop_waits_for_the_new_revision_and_nothing_else() -> None:
    status = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}
    deployment = {"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": status}
    assert bare.is_available(deployment)
    for lacking in (
        {"observedGeneration": 1},
        {"replicas": 2},
        {"updatedReplicas": 0},
        {"availableReplicas": 0},
    ):
        assert not bare.is_available(deployment | {"status": status | lacking}), lacking


def test_ours_is_compared_with_the_fastest_peer_that_ended_well() -> None:
    results = {
        (Name.OURS, NEAR): [_measured(Step.UNCHANGED, 1.0)],
        (Name.BARE, NEAR): [_measured(Step.UNCHANGED, 0.5)],
        (Name.HELM, NEAR): [_measured(Step.UNCHANGED, 2.0, code=1)],
        (Name.KAPP, NEAR): [_measured(Step.UNCHANGED, 3.0)],
        (Name.SERVER_SIDE, NEAR): [_measured(Step.UNCHANGED, 5.0)],
    }
    assert scores.fastest_peer(results, Step.UNCHANGED, NEAR) == (Name.KAPP, 3.0)
    assert scores.fastest_peer(results, Step.UNCHANGED, FAR) is None
    row = next(line for line in scores.goals_table(results).splitlines() if "kapp" in line)
    assert "0.33" in row
    assert "no" in row
    assert "fails after 2" in scores.seconds_table(results, 0.05)


def test_of_a_step_that_was_taken_several_times_the_middle_one_counts() -> None:
    taken = [_measured(Step.CHANGED, seconds) for seconds in (3.0, 1.0, 5.0)]
    assert chain.middle(taken).run.seconds == 3.0
    assert chain.middle(taken[:1]).all_s == ()
    table = scores.seconds_table({(Name.KAPP, NEAR): [chain.middle(taken)]}, 0.0)
    assert "| 3.00 (1.00 to 5.00) |" in table
    failed = [*taken, _measured(Step.CHANGED, 2.0, code=1)]
    assert chain.middle(failed) is failed[-1]


def test_a_verdict_is_compared_as_whole_commands_and_an_absent_peer_leaves_its_cells_empty() -> None:
    one = verdicts.Verdict(
        name="a wrong tag",
        cause="ImageNotFound",
        verdict_s=0.5,
        ours=verdicts.Told(seconds=3.0, code=11, words="no such tag | or image"),
        kubectl=verdicts.Told(seconds=60.0, code=1, words="error: timed out"),
        helm=None,
    )
    row = verdicts.seconds_table([one]).splitlines()[-1]
    assert _cells(row) == ["a wrong tag", "`ImageNotFound`", "0.5", "3.0", "60.0", "0.05", "", ""]
    said = verdicts.words_table([one]).splitlines()[-1]
    assert "11: no such tag \\| or image" in said, "a bar in what is said ends no cell"


def test_on_a_real_node_a_verdict_is_told_beside_the_peers_and_who_calls_it_good_is_named() -> None:
    one = verdicts.Verdict(
        name="too little memory",
        cause="OutOfMemory",
        verdict_s=15.9,
        ours=verdicts.Told(seconds=24.2, code=10, words="killed"),
        kubectl=verdicts.Told(seconds=51.6, code=0, words="successfully rolled out"),
        helm=None,
    )
    row = real.seconds_table([one]).splitlines()[-1]
    assert _cells(row) == ["too little memory", "`OutOfMemory`", "15.9", "24.2", "51.6: **called good**", ""]


def test_everything_is_laid_out_for_each_failure_of_the_real_node() -> None:
    kinds = {name: "Job" if verdicts.is_job(one) else "Deployment" for name, one in real.FAILURES.items()}
    assert {name for name, kind in kinds.items() if kind == "Job"} == {
        name for name in real.FAILURES if name.startswith("a job")
    }


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_verdict_counts_from_the_apply_and_tells_the_cause_that_the_manifest_is_for() -> None:
    causes = [
        {"code": "DependencyFailed", "message": "web waits", "origin": "environments/dev/manifests/a.yaml:1"},
        {"code": "CrashLoop", "message": "it crashes", "origin": "environments/dev/manifests/web.yaml:9"},
    ]
    document = {"causes": causes, "timings": {"plan": 4.0, "apply": 0.25, "rollout": 2.0, "total": 7.0}}
    cause, verdict_s, told = verdicts.told_by(document, _run(8.0, 11), "CrashLoop")
    assert (cause, verdict_s, told.seconds) == ("CrashLoop", 2.25, 8.0)
    assert told.words == "web.yaml:9: it crashes"
    cause, _, told = verdicts.told_by(document | {"causes": []}, _run(8.0, 12, "gave up"), "CrashLoop")
    assert (cause, told.words) == ("none", "gave up"), "a verdict without a cause is seen"


def test_an_error_of_a_peer_is_told_with_all_its_lines_and_without_what_came_before() -> None:
    said = "Warning: would violate a policy\nError: web not ready\ncontext deadline exceeded\n"
    assert verdicts.last_words(_run(1.0, 1, said)) == "Error: web not ready; context deadline exceeded"
    assert verdicts.last_words(_run(1.0, 0, "created\nrolled out\n")) == "rolled out"


def test_every_failure_of_the_page_is_one_that_the_end_to_end_tests_hold_to_its_cause() -> None:
    assert set(verdicts.STORIES) <= set(verdicts.FAILURES)
    assert len(set(verdicts.STORIES)) == len(verdicts.STORIES) == 11


def _measured(step: Step, seconds: float, code: int = 0) -> Measured:
    return Measured(step=step, run=_run(seconds, code), counts=Counts(), timings={})


def _run(seconds: float, code: int, stderr: str = "") -> timed.Run:
    return timed.Run(
        seconds=seconds,
        cpu_s=1.0,
        peak_mib=50.0,
        floor_mib=30.0,
        code=code,
        stopped=False,
        stdout="",
        stderr=stderr,
    )
