"""In GitHub Actions: outputs, summary and annotations; and readers of stdout that go away."""

import json
import subprocess
from pathlib import Path

from tests.e2e.failures import workload
from tests.e2e.manifests import config_map
from tests.e2e.workspace import Workspace

LOG = "pipeline.test/log"


def _step(tmp_path: Path) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }


def _outputs(path: Path) -> dict[str, str]:
    """Read as the runner does: NAME<<WORD, lines, WORD."""
    found, lines = {}, iter(path.read_text().splitlines())
    for line in lines:
        name, _, word = line.partition("<<")
        value = []
        for part in lines:
            if part == word:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found


def test_a_deploy_writes_outputs_and_a_summary(app: Workspace, tmp_path: Path) -> None:
    result = app.run("deploy", "-e", "dev", "-o", "json", env=_step(tmp_path))
    assert result.code == 0
    report = result.document
    outputs = _outputs(tmp_path / "output")
    assert outputs["result"] == "ok"
    assert outputs["exit-code"] == "0"
    assert outputs["release"] == "1"
    assert outputs["revision"] == report["revision"]["sha"]
    assert outputs["plan-digest"] == report["plan"]["digest"]
    assert outputs["environment"] == "dev"
    assert "dev" in (tmp_path / "summary.md").read_text()


def test_a_mistake_becomes_an_annotation_with_its_line(repo: Workspace, tmp_path: Path) -> None:
    repo.environment()
    repo.manifest("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n")
    repo.commit()
    for command in ("validate", "plan", "deploy"):
        (tmp_path / command).mkdir()
        result = repo.run(command, "-e", "dev", "-o", "json", env=_step(tmp_path / command))
        assert result.code == 20
        assert result.document["problems"]
        annotations = [line for line in result.stderr.splitlines() if line.startswith("::error ")]
        assert len(annotations) == 1
        assert "file=environments/dev/manifests/a.yaml,line=3" in annotations[0]
        assert _outputs(tmp_path / command / "output")["exit-code"] == "20"
        assert "a.yaml" in (tmp_path / command / "summary.md").read_text()


def test_a_plan_writes_its_digest(app: Workspace, tmp_path: Path) -> None:
    result = app.run("plan", "-e", "dev", "-o", "json", env=_step(tmp_path))
    assert _outputs(tmp_path / "output")["plan-digest"] == result.document["digest"]


def test_outputs_that_cannot_be_written_do_not_fail_the_deploy(app: Workspace, tmp_path: Path) -> None:
    missing = str(tmp_path / "no" / "such" / "folder")
    step = {**_step(tmp_path), "GITHUB_OUTPUT": missing, "GITHUB_STEP_SUMMARY": str(tmp_path)}
    result = app.run("deploy", "-e", "dev", env=step)
    assert result.code == 0, str(result)
    assert "GITHUB_OUTPUT" in result.stderr
    assert "Traceback" not in result.output


def test_hostile_text_of_a_commit_and_of_manifests_is_no_command(app: Workspace, tmp_path: Path) -> None:
    app.manifest("evil.yaml", config_map("evil", words="\n::stop-commands::x\n::set-output name=a::b\n"))
    app.commit("::error::gotcha\x1b[31m")
    result = app.run("deploy", "-e", "dev", env=_step(tmp_path))
    assert result.code == 0
    assert "\x1b" not in result.output
    assert not [line for line in result.output.splitlines() if line.lstrip().startswith("::")]


def test_hostile_words_of_a_container_are_text_in_the_report_of_its_crash(
    repo: Workspace, tmp_path: Path
) -> None:
    said = "::error::gotcha\x1b[31m <img src=x> [a](http://b) | ```"
    manifest = workload("nginx:crash").replace("annotations: {", f"annotations: {{{LOG}: {json.dumps(said)}")
    repo.environment("rollback: {auto: false}\nrollout: {grace: {restarts: 0}}")
    repo.manifest("web.yaml", manifest)
    repo.commit()

    result = repo.run("deploy", "-e", "dev", env=_step(tmp_path))

    assert result.code == 11, str(result)
    summary = (tmp_path / "summary.md").read_text()
    for text in (result.output, summary):
        assert "gotcha" in text
        assert "\x1b" not in text
    commands = [line.lstrip() for line in result.output.splitlines() if line.lstrip().startswith("::")]
    assert commands
    assert all(line.startswith("::error file=environments/dev/manifests/web.yaml") for line in commands)
    assert "<img" not in summary


def test_a_reader_that_goes_away_does_not_stop_a_deploy(app: Workspace) -> None:
    with app.start("deploy", "-e", "dev", "-o", "json") as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        progress = run.stderr.read()
        assert run.wait(timeout=60) == 0
    assert "Traceback" not in progress
    assert "Exception" not in progress
    assert app.json("history", "-e", "dev")[1]["releases"][0]["phase"] == "SUCCEEDED"


def test_progress_that_nobody_reads_does_not_stop_a_deploy(app: Workspace) -> None:
    with app.start("deploy", "-e", "dev", "-o", "json") as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stderr.close()
        out = run.stdout.read()
        assert run.wait(timeout=60) == 0
    assert '"result": "ok"' in out


def test_the_shell_form_of_it(app: Workspace) -> None:
    command = " ".join(app.command("plan", "-e", "dev")) + " | head -n 0; exit ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=app.folder,
        env=app.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
