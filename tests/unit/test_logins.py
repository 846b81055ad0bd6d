"""Where logins are kept, which of them is that of a host, and what is said of those that cannot be read."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.logins import Logins
from pipeline.model.errors import UnreachableError


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


LOGIN = b64("bot:word")
ENTRY = {"auth": LOGIN}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def write(path: Path, settings: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(settings if isinstance(settings, str) else json.dumps(settings))


def docker(home: Path, settings: Any) -> None:
    write(home / ".docker/config.json", settings)


def logins(home: Path, **environ: str) -> Logins:
    return Logins({"HOME": str(home), **environ}, lambda *_: None)


def test_without_any_file_there_is_none(home: Path) -> None:
    assert logins(home).of("ghcr.io") == ""


@pytest.mark.parametrize(
    "written",
    ["ghcr.io", "https://ghcr.io", "https://ghcr.io/", "https://ghcr.io/v1/", "https://ghcr.io/v2/"],
)
def test_a_host_is_found_as_docker_writes_it(home: Path, written: str) -> None:
    docker(home, {"auths": {written: ENTRY}})
    assert logins(home).of("ghcr.io") == LOGIN


@pytest.mark.parametrize("host", ["registry-1.docker.io", "docker.io"])
def test_docker_s_own_registry_has_a_name_of_its_own(home: Path, host: str) -> None:
    docker(home, {"auths": {"https://index.docker.io/v1/": ENTRY}})
    assert logins(home).of(host) == LOGIN
    assert logins(home).of("index.docker.io.example.com") == ""


@pytest.mark.parametrize(
    "written",
    [
        "ghcr.io:443",
        "http://ghcr.io",
        "io",
        "*.io",
        "sub.ghcr.io",
        "ghcr.io.example.com",
        "ghcr.io/org",
        "GHCR.IO",
        "",
    ],
)
def test_a_login_of_another_host_is_not_given(home: Path, written: str) -> None:
    docker(home, {"auths": {written: ENTRY}})
    assert logins(home).of("ghcr.io") == ""


def test_user_and_password_may_stand_in_clear_and_hold_colons(home: Path) -> None:
    docker(
        home, {"auths": {"a": {"username": "bot", "password": "wo:rd"}, "b": {"auth": b64("bot:wo:rd\0")}}}
    )
    assert logins(home).of("a") == logins(home).of("b") == b64("bot:wo:rd")


def test_secrets_are_told_to_who_hides_them(home: Path) -> None:
    docker(home, {"auths": {"ghcr.io": ENTRY}})
    told: list[str] = []
    Logins({"HOME": str(home)}, lambda *secrets: told.extend(secrets)).of("ghcr.io")
    assert told == ["word", LOGIN]


def test_a_variable_says_where_docker_keeps_them(home: Path) -> None:
    docker(home, {"auths": {"ghcr.io": {"auth": b64("other:one")}}})
    write(home / "elsewhere/config.json", {"auths": {"ghcr.io": ENTRY}})
    assert logins(home, DOCKER_CONFIG=str(home / "elsewhere")).of("ghcr.io") == LOGIN


@pytest.mark.parametrize(
    ("file", "environ"),
    [
        (".config/helm/registry/config.json", {}),
        ("x/helm/registry/config.json", {"XDG_CONFIG_HOME": "{home}/x"}),
        ("y/registry/config.json", {"HELM_CONFIG_HOME": "{home}/y"}),
        ("z.json", {"HELM_REGISTRY_CONFIG": "{home}/z.json"}),
    ],
)
def test_helm_s_own_logins_come_first(home: Path, file: str, environ: dict[str, str]) -> None:
    docker(home, {"auths": {"ghcr.io": {"auth": b64("other:one")}, "quay.io": ENTRY}})
    write(home / file, {"auths": {"ghcr.io": ENTRY}})
    found = logins(home, **{key: value.format(home=home) for key, value in environ.items()})
    assert found.of("ghcr.io") == LOGIN
    assert found.of("quay.io") == LOGIN


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("{", "config.json: not JSON"),
        ("[" * 100_000, "config.json: not JSON"),
        ({"auths": {"ghcr.io": {"auth": "word"}}}, "it is no user and password"),
        ({"auths": {"ghcr.io": {"auth": b64("word")}}}, "it is no user and password"),
        ({"auths": {"ghcr.io": {"auth": "w\u00f6rd"}}}, "it is no user and password"),
        ({"auths": {"ghcr.io": {**ENTRY, "identitytoken": "word"}}}, "identity tokens are not supported"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_file_and_without_the_secret(
    home: Path, settings: Any, words: str
) -> None:
    docker(home, settings)
    with pytest.raises(UnreachableError, match=words) as caught:
        logins(home).of("ghcr.io")
    assert str(home / ".docker/config.json") in caught.value.message
    for told in (caught.value, caught.value.__cause__, caught.value.__context__):
        assert "w" + "ord" not in str(told).replace("password", "")


@pytest.mark.parametrize(
    "settings",
    [[], 3, {"auths": []}, {"auths": {"ghcr.io": "x"}}, {"auths": {"ghcr.io": {}}}, {"credsStore": 3}],
)
def test_what_holds_no_login_is_passed_over(home: Path, settings: Any) -> None:
    docker(home, settings)
    assert logins(home).of("ghcr.io") == ""


REPOSITORIES = """
apiVersion: ""
repositories:
- {name: open, url: "https://charts.example.com/open"}
- {name: own, url: "https://charts.example.com/own/", username: bot, password: word, caFile: ""}
- {name: odd, url: "https://[x", username: bot, password: word}
- {name: clear, url: "http://clear.example.com", username: bot, password: word}
- {name: port, url: "https://port.example.com:8443", username: bot, password: word}
- 3
"""


@pytest.mark.parametrize(
    ("file", "environ"),
    [
        (".config/helm/repositories.yaml", {}),
        ("y/repositories.yaml", {"HELM_CONFIG_HOME": "{home}/y"}),
        ("z.yaml", {"HELM_REPOSITORY_CONFIG": "{home}/z.yaml"}),
    ],
)
def test_helm_s_own_repositories_have_theirs(home: Path, file: str, environ: dict[str, str]) -> None:
    write(home / file, REPOSITORIES)
    found = logins(home, **{key: value.format(home=home) for key, value in environ.items()})
    assert found.of("charts.example.com") == found.of("port.example.com:8443") == LOGIN
    for host in ("clear.example.com", "port.example.com", "example.com", "own", ""):
        assert found.of(host) == ""


@pytest.mark.parametrize("written", ["", "[]", "repositories: 3", "repositories: [{url: 3, username: a}]"])
def test_repositories_without_a_login_are_passed_over(home: Path, written: str) -> None:
    write(home / ".config/helm/repositories.yaml", written)
    assert logins(home).of("charts.example.com") == ""


def test_repositories_that_cannot_be_read_are_told_without_what_is_in_them(home: Path) -> None:
    write(home / ".config/helm/repositories.yaml", "a: word: b")
    with pytest.raises(UnreachableError, match=r"repositories\.yaml: not YAML") as caught:
        logins(home).of("charts.example.com")
    assert "word" not in str(caught.value)


def test_a_variable_may_hold_them_where_no_file_gets(home: Path) -> None:
    docker(home, {"auths": {"ghcr.io": {"auth": b64("other:one")}, "quay.io": ENTRY}})
    found = logins(home, DOCKER_AUTH_CONFIG=json.dumps({"auths": {"ghcr.io": ENTRY}}))
    assert found.of("ghcr.io") == found.of("quay.io") == LOGIN


def test_a_variable_that_cannot_be_read_is_told_without_it(home: Path) -> None:
    with pytest.raises(UnreachableError, match="logins in DOCKER_AUTH_CONFIG: not JSON") as caught:
        logins(home, DOCKER_AUTH_CONFIG='{"auths": word').of("ghcr.io")
    assert "word" not in str(caught.value) + str(caught.value.__context__)


# --- programs that keep logins

HELPER = """#!/bin/sh
read -r host
echo "$1 $host" >>"$HOME/asked"
echo '{answer}'
exit {code}
"""


def helper(home: Path, name: str, answer: str, code: int = 0) -> str:
    """A program in a folder of its own, which is returned."""
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / f"docker-credential-{name}"
    program.write_text(HELPER.format(answer=answer, code=code))
    program.chmod(0o755)
    return str(folder)


GOOD = json.dumps({"ServerURL": "ghcr.io", "Username": "bot", "Secret": "word"})


@pytest.mark.parametrize(
    "settings",
    [
        {"credHelpers": {"ghcr.io": "mine"}, "credsStore": "other"},
        {"credsStore": "mine"},
        {"auths": {"ghcr.io": {}}, "credsStore": "mine"},
    ],
)
def test_a_program_of_the_user_s_is_asked_for_the_host(home: Path, settings: Any) -> None:
    path = helper(home, "mine", GOOD)
    docker(home, settings)
    assert logins(home, PATH=path).of("ghcr.io") == LOGIN
    assert (home / "asked").read_text() == "get ghcr.io\n"


def test_a_program_of_another_host_is_not_asked(home: Path) -> None:
    path = helper(home, "mine", GOOD)
    docker(home, {"credHelpers": {"quay.io": "mine"}})
    assert logins(home, PATH=path).of("ghcr.io") == ""
    assert not (home / "asked").exists()


def test_a_program_is_asked_for_docker_s_own_registry_by_its_name(home: Path) -> None:
    path = helper(home, "mine", GOOD)
    docker(home, {"credsStore": "mine"})
    assert logins(home, PATH=path).of("registry-1.docker.io") == LOGIN
    assert (home / "asked").read_text() == "get https://index.docker.io/v1/\n"


@pytest.mark.parametrize("name", ["x/../bin/docker-credential-mine", "../../bin/mine", "", "-x", "absent"])
def test_a_program_that_is_not_there_has_no_login(
    home: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = helper(home, "mine", GOOD)
    (home / "docker-credential-x").mkdir()
    monkeypatch.chdir(home)
    docker(home, {"credHelpers": {"ghcr.io": name}})
    assert logins(home, PATH=path).of("ghcr.io") == ""
    assert not (home / "asked").exists()


@pytest.mark.parametrize(
    ("answer", "code"), [("credentials not found", 1), (GOOD, 1), ("nonsense", 0), ("[]", 0)]
)
def test_a_program_that_has_no_login_for_the_host_has_none(home: Path, answer: str, code: int) -> None:
    path = helper(home, "mine", answer, code)
    docker(home, {"credsStore": "mine"})
    assert logins(home, PATH=path).of("ghcr.io") == ""


def test_an_identity_token_of_a_program_is_told(home: Path) -> None:
    path = helper(home, "mine", json.dumps({"Username": "<token>", "Secret": "word"}))
    docker(home, {"credsStore": "mine"})
    with pytest.raises(UnreachableError, match="identity tokens are not supported"):
        logins(home, PATH=path).of("ghcr.io")
