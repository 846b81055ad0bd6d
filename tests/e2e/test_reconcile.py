"""`pipeline reconcile`: follows a branch, puts drift back, respects people, survives what goes away."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.run import job
from pipeline.run.put_back import put_back
from pipeline.wiring import App
from tests.cluster.api import kubeconfig
from tests.e2e.conftest import MakeRepo
from tests.e2e.following import following
from tests.e2e.live import until
from tests.e2e.manifests import WEB, config_map
from tests.e2e.stories import Stories
from tests.e2e.workspace import Workspace
from tests.git_host import GitHost

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

PLAIN = "environments/dev/manifests/plain.yaml"


story = Stories()
AT_ONCE = 4  # mostly they wait for the next look


@pytest.fixture
def small(make_repo: MakeRepo) -> Workspace:
    return made(make_repo)


def made(make_repo: MakeRepo) -> Workspace:
    """An environment of one ConfigMap, committed; ``commit_state`` changes it."""
    repo = make_repo(create=True)
    repo.environment()
    repo.manifest("plain.yaml", config_map("plain", state="one"))
    repo.commit()
    return repo


def commit_state(repo: Workspace, state: str) -> str:
    repo.manifest("plain.yaml", config_map("plain", state=state))
    return repo.commit(state)


def state(repo: Workspace) -> str:
    return str(repo.get("configmaps", "plain")["data"]["state"])


def patch(repo: Workspace, value: str) -> None:
    repo.kubectl("patch", "configmap", "plain", "-p", f'{{"data":{{"state":"{value}"}}}}')


def head(repo: Workspace) -> str:
    return repo.git("rev-parse", "HEAD")


def releases(repo: Workspace) -> list[tuple[int, str, str]]:
    """(number, phase, command's revision), oldest first."""
    code, document = repo.json("history", "-e", "dev")
    assert code == 0
    return [(r["number"], r["phase"], r["revision"]) for r in reversed(document["releases"])]


def bad_image(repo: Workspace) -> str:
    repo.manifest("web.yaml", WEB.replace("nginx:1.21", "nginx:missing").replace("envFrom", "# "))
    text = (repo.folder / "environments/dev/manifests/web.yaml").read_text()
    repo.write("environments/dev/manifests/web.yaml", text.partition("            - configMapRef")[0])
    return repo.commit("a bad image")


# --- commits


@story()
def new_commits_are_deployed_and_those_that_change_nothing_here_are_not(small: Workspace) -> None:
    with following(small) as process:
        first = process.deployed(head(small))
        assert (first["command"], first["release"]["number"]) == ("reconcile", 1)
        second = commit_state(small, "two")
        process.deployed(second)
        assert state(small) == "two"
        small.write("README", "nothing that is deployed")
        unrelated = small.commit()
        until(lambda: process.health()[1]["head"] == unrelated)
        process.looks()
    assert [number for number, _, _ in releases(small)] == [1, 2]


@story()
def a_commit_that_fails_is_held_until_there_is_a_newer_one(small: Workspace) -> None:
    with following(small) as process:
        process.deployed(head(small))
        bad = bad_image(small)
        report = process.deployed(bad, "rolled-back")
        assert report["causes"][0]["code"] == "ImageNotFound"
        assert "nginx:missing" in process.told("held")["message"]
        process.looks(3)
        assert process.health()[1]["held"]
        assert [phase for _, phase, _ in releases(small)] == ["SUCCEEDED", "ROLLED_BACK"]
        assert sum(line.get("kind") == "held" for line in process.lines) == 1
        small.remove("environments/dev/manifests/web.yaml")
        good = commit_state(small, "two")
        process.deployed(good)
        until(lambda: process.health()[1]["held"] is None)


@story()
def a_commit_that_failed_is_held_by_a_process_that_begins_later(small: Workspace) -> None:
    small.deployed()
    bad = bad_image(small)
    assert small.run("deploy", "-e", "dev").code == 10
    with following(small) as process:
        assert bad[:12] in process.told("held")["message"]
        process.looks()
    assert len(releases(small)) == 2


@story()
def a_commit_that_cannot_be_read_is_held_and_the_environment_kept(small: Workspace) -> None:
    with following(small) as process:
        process.deployed(head(small))
        small.write(PLAIN, "kind: [")
        broken = small.commit("no YAML")
        process.deployed(broken, "invalid")
        assert "plain.yaml" in process.told("held")["message"]
        patch(small, "by hand")
        process.told("drift")
        until(lambda: state(small) == "one")
        small.write("environments/dev/environment.yaml", "kind: [")
        small.commit("no environment")
        assert "environment.yaml" in process.told("held")["message"]
        small.environment()
        process.deployed(commit_state(small, "two"))


# --- drift


@story()
def drift_is_put_back_and_told_with_field_and_manager(small: Workspace) -> None:
    with following(small) as process:
        process.deployed(head(small))
        patch(small, "by hand")
        told = process.told("drift")
        process.deployed(head(small))
        assert state(small) == "one"
        (drifted,) = told["objects"]
        assert drifted["object"] == f"/ConfigMap/{small.namespace}/plain"
        assert drifted["fields"] == [
            {"path": "data.state", "desired": "one", "live": "by hand", "manager": "kubectl-patch"}
        ]
        small.kubectl("delete", "configmap", "plain")
        assert process.told("drift")["objects"][0]["object"].endswith("/plain")
        until(lambda: small.get("configmaps", "plain"))
        process.looks()
    assert {phase for _, phase, _ in releases(small)} == {"SUCCEEDED"}


@story("namespace", "secret")
def what_somebody_deleted_with_all_its_records_is_deployed_again(small: Workspace, what: str) -> None:
    """The branch has nothing new; but what it was done with is gone."""
    which = [small.namespace] if what == "namespace" else ["--selector=pipeline/record"]
    with following(small) as process:
        process.deployed(head(small))
        process.looks()
        small.kubectl("delete", what, *which)
        process.deployed(head(small))
        assert state(small) == "one"
        process.looks()
    assert [(number, phase) for number, phase, _ in releases(small)] == [(1, "SUCCEEDED")]


@story()
def a_field_that_somebody_writes_again_and_again_is_called_a_fight(small: Workspace) -> None:
    with following(small) as process:
        process.deployed(head(small))
        for turn in range(3):
            patch(small, f"by hand {turn}")
            told = process.told("drift")
            process.deployed(head(small))
        assert "kubectl-patch fights for it" in told["message"]
        assert "3 times" in told["message"]


# --- people


@story()
def what_a_person_rolled_back_stays_until_the_branch_moves_on(small: Workspace) -> None:
    with following(small) as process:
        process.deployed(head(small))
        process.deployed(commit_state(small, "two"))
        assert small.run("rollback", "-e", "dev").code == 0
        assert "release 3" in process.told("held")["message"]
        process.looks()
        assert state(small) == "one"
        patch(small, "by hand")
        process.told("drift")
        until(lambda: state(small) == "one")
    small.write("README", "nothing that is deployed")
    small.commit("a commit that a process which begins has never seen")
    with following(small) as process:
        process.told("held")
        process.looks()
        assert state(small) == "one"
        process.deployed(commit_state(small, "three"))
        assert state(small) == "three"


@story()
def it_gives_way_to_a_person_s_deploy_and_follows_what_that_deployed(small: Workspace) -> None:
    slow = WEB.partition("          envFrom")[0].replace("nginx:1.21", "nginx:slow")
    labels = "labels: {app: web}\n    spec:"
    slow = slow.replace(
        labels, "labels: {app: web}\n      annotations: {pipeline.test/delay: 15s}\n    spec:"
    )
    with following(small) as process:
        process.deployed(head(small))
        # Not on the branch that is followed.
        small.git("checkout", "-q", "-b", "fix")
        small.manifest("web.yaml", slow)
        small.commit("a person's")
        person = small.start("deploy", "-e", "dev")
        try:
            process.told("waiting", "gives way to")
            small.git("checkout", "-q", "main")
            pushed = commit_state(small, "two")
            until(lambda: process.health()[1]["head"] == pushed)
            assert person.communicate(timeout=90)[1] is not None
            assert person.returncode == 0
        finally:
            person.kill()
            person.wait()
        assert pushed[:12] in process.told("held")["message"]
        process.looks()
        assert state(small) == "one"
        process.deployed(commit_state(small, "three"))
        assert state(small) == "three"


# --- what goes away and comes back


@contextmanager
def hosting(small: Workspace) -> Iterator[GitHost]:
    """Where ``small`` is pushed to."""
    folder = small.folder.parent / "host"
    folder.mkdir()
    with GitHost(folder) as running:
        running.trusted_by(small.folder.parent)
        small.git("remote", "add", "origin", str(running.repository()))
        small.git("push", "-q", "origin", "main")
        yield running


def cloned(small: Workspace, host: GitHost) -> Path:
    clone = small.folder.parent / "clone"
    variables = {**small.variables(), "GIT_CONFIG_GLOBAL": str(small.folder.parent / ".gitconfig")}
    subprocess.run(["git", "clone", "-q", host.url(), clone], env=variables, check=True)
    return clone


@story()
def a_git_host_that_goes_away_is_missed_only_for_what_is_new(small: Workspace) -> None:
    with hosting(small) as host, following(small, cwd=cloned(small, host)) as process:
        process.deployed(head(small))
        host.down()
        assert "git" in process.told("trouble")["message"]
        patch(small, "by hand")
        process.told("drift")
        until(lambda: state(small) == "one")
        until(lambda: process.health()[0] == 503)
        assert "git fetch" in process.health()[1]["last_error"]["message"]
        pushed = commit_state(small, "two")
        small.git("push", "-q", "origin", "main")
        host.up()
        process.told("recovered", "git")
        process.deployed(pushed)
        until(lambda: process.health()[0] == 200)


@story()
def a_git_host_that_is_not_there_at_the_start_is_waited_for(small: Workspace) -> None:
    with hosting(small) as host:
        clone = cloned(small, host)
        host.down()
        with following(small, cwd=clone) as process:
            process.told("trouble")
            host.up()
            process.deployed(head(small))


@story("token", "address")
def a_login_that_ends_or_moves_is_told_and_renewed(small: Workspace, wrong: str) -> None:
    cluster = small.cluster
    file = small.folder.parent / "kubeconfig"

    def login(server: str, token: str) -> None:
        text = kubeconfig(server, cluster.ca_file.read_bytes(), token, "admin")
        file.with_suffix(".new").write_text(text)
        file.with_suffix(".new").replace(file)

    if wrong == "token":
        login(cluster.server, "ENDED-TOKEN")
    else:
        login("https://127.0.0.1:9", cluster.token)
    with following(small, env={"KUBECONFIG": str(file)}) as process:
        told = process.told("trouble")["message"]
        assert ("refused the login" in told) == (wrong == "token")
        assert "ENDED-TOKEN" not in str(process.lines)
        login(cluster.server, cluster.token)
        process.told("recovered", "cluster")
        process.deployed(head(small))


# --- signals, hook, health


@story("SIGHUP", "hook")
def who_asks_for_it_need_not_wait_for_the_interval(small: Workspace, how: str) -> None:
    with following(small, interval="1h") as process:
        process.deployed(head(small))
        until(lambda: process.health()[1]["last_success"])
        second = commit_state(small, "two")
        if how == "SIGHUP":
            process.send(signal.SIGHUP)
        else:
            assert process.ask("POST", "/hook", b'{"ref": "refs/heads/other"}')[0] == 202
        process.deployed(second)


@story("SIGTERM", "SIGINT")
def a_signal_ends_it_with_0_where_nothing_is_being_deployed(small: Workspace, name: str) -> None:
    with following(small, interval="1h") as process:
        process.deployed(head(small))
        until(lambda: process.health()[1]["last_success"])
        assert process.ended(signal.Signals[name]) == 0
        assert process.lines[-1]["kind"] == "ended"
        assert process.errors == ""


@story()
def a_signal_during_a_deploy_ends_it_with_50_and_the_next_one_takes_over(small: Workspace) -> None:
    with following(small) as process:
        process.deployed(head(small))
        slow = WEB.partition("          envFrom")[0].replace("nginx:1.21", "nginx:slow")
        small.manifest("web.yaml", slow)
        second = small.commit()
        until(lambda: small.get("secrets", f"pipeline.{small.application}.dev.2"))
        assert process.ended() == 50
    assert releases(small)[-1][1] == "INTERRUPTED"
    with following(small) as process:
        process.deployed(second)


@story()
def one_line_a_change_for_people(small: Workspace) -> None:
    process = small.start("reconcile", "-e", "dev", "--interval", "1s")
    try:
        until(lambda: small.get("configmaps", "plain"))
        patch(small, "by hand")
        until(lambda: state(small) == "one")
        until(lambda: len(releases(small)) == 2)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert errors == ""
    lines = [line.split(" ", 1)[1] for line in out.splitlines()]
    assert [line.partition(":")[0] for line in lines] == ["dev"] * 5
    assert "follows main" in lines[0]
    assert "ok: release 1" in lines[1]
    assert f"ConfigMap/{small.namespace}/plain data.state: by hand by kubectl-patch → one" in lines[2]
    assert "ok: release 2" in lines[3]


@story()
def an_address_that_is_taken_is_told_at_once(small: Workspace) -> None:
    with following(small, interval="1h") as process:
        process.health()
        result = small.run("reconcile", "-e", "dev", "--listen", f"127.0.0.1:{process.port}")
    assert result.code == 40
    assert "listen" in result.stderr


@pytest.fixture(scope="module")
def told(make_repo: MakeRepo) -> Iterator[dict[str, Future[None]]]:
    with story.begun(lambda: made(make_repo), AT_ONCE) as told:
        yield told


@pytest.mark.parametrize("name", story)
def test_who_follows_a_branch_sees_that(told: dict[str, Future[None]], name: str) -> None:
    told[name].result()


# --- what no other story may be told beside, and what takes no time


def test_an_api_server_that_restarts_is_survived(small: Workspace) -> None:
    with following(small) as process:
        process.deployed(head(small))
        small.cluster.stop_apiserver()
        second = commit_state(small, "two")
        small.cluster.start_apiserver()
        process.deployed(second)
        process.looks()


@pytest.mark.parametrize("what", ["the branch's commit", "the last release"])
def test_what_another_run_recorded_since_the_look_is_not_undone(small: Workspace, what: str) -> None:
    small.deployed()
    commit_state(small, "two")
    small.deployed()
    before = small.state()
    app = App(repo=str(small.folder), kubeconfig=str(small.cluster.kubeconfig))
    workspace, old = app.workspace(), small.git("rev-parse", "HEAD~1")
    environment = workspace.environment("dev", old)
    order = job.Order(newest=1, allow_older=True)
    if what == "the last release":
        first = app.session(environment).releases.get(1)
        assert first
        outcome = put_back(app.session, environment, first, "drift", order)
    else:
        outcome = job.deploy_one(workspace, app.session, environment, old, order, "reconcile")
    assert outcome.exit_code == 30
    assert "release 2" in outcome.message
    assert small.state() == before


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("reconcile",), "needs an environment"),
        (("reconcile", "-e", "dev", "-o", "markdown"), "-o text or json"),
        (("reconcile", "-e", "dev", "--interval", "0"), "at least 1 s"),
        (("reconcile", "-e", "dev", "--listen", "8080"), "--listen"),
        (("reconcile", "-e", "dev", "--listen", "127.0.0.1:99999"), "--listen"),
    ],
)
def test_a_wrong_command_line_is_told_at_once(small: Workspace, args: tuple[str, ...], says: str) -> None:
    result = small.run(*args)
    assert result.code == 2, str(result)
    assert says in result.stderr


def test_an_environment_that_is_not_there_is_told_at_once(small: Workspace) -> None:
    assert small.run("reconcile", "-e", "nowhere").code == 20
