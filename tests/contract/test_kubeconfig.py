"""Which cluster a kubeconfig leads to, and what is said when it leads nowhere."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.connection import connect, proxy_for
from pipeline.model.environment import KubeconfigCluster
from pipeline.model.errors import UnreachableError


def config(name: str, *, current: str = "", user: Any = None, **context: str) -> dict[str, Any]:
    return {
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example"}}],
        "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **context}}],
        **({"current-context": current} if current else {}),
    }


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_the_first_file_that_names_a_current_context_decides(tmp_path: Path) -> None:
    one = write(tmp_path / "one", config("one"))
    two = write(tmp_path / "two", config("two", current="one", namespace="unused"))
    three = write(tmp_path / "three", config("three", current="three"))
    env = {"KUBECONFIG": f"{tmp_path / 'missing'}:{one}::{two}:{three}"}

    connection = connect(environ=env)

    assert connection.server == "https://one.example"
    assert connection.headers() == {"Authorization": "Bearer token-of-one"}
    assert connection.namespace == "default"


def test_of_two_entries_with_one_name_the_first_counts(tmp_path: Path) -> None:
    one = write(tmp_path / "one", config("same", current="same", namespace="first"))
    other = config("same", namespace="second")
    other["clusters"][0]["cluster"]["server"] = "https://other.example"
    two = write(tmp_path / "two", other)

    connection = connect(environ={"KUBECONFIG": f"{one}:{two}"})

    assert (connection.server, connection.namespace) == ("https://same.example", "first")


def test_options_win_over_the_environments_file(tmp_path: Path) -> None:
    one = write(tmp_path / "one", config("one", current="one"))
    two = write(tmp_path / "two", config("two", current="two"))
    cluster = KubeconfigCluster(path=str(two), context="two")

    assert connect(cluster, environ={}).server == "https://two.example"
    assert connect(cluster, kubeconfig=str(one), environ={}).server == "https://one.example"


def test_a_relative_path_is_read_from_the_environments_folder(tmp_path: Path) -> None:
    write(tmp_path / "one", config("one", current="one"))

    assert connect(KubeconfigCluster(path="one"), folder=tmp_path, environ={}).server == "https://one.example"


def test_without_anything_the_default_file_is_read(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    write(tmp_path / ".kube" / "config", config("home", current="home"))

    assert connect(environ={"HOME": str(tmp_path)}).server == "https://home.example"


@pytest.mark.parametrize(
    ("context", "message"), [("", "has no current context"), ("nine", "has no context nine")]
)
def test_an_unknown_context_lists_those_there_are(tmp_path: Path, context: str, message: str) -> None:
    one = write(tmp_path / "one", config("one"))
    two = write(tmp_path / "two", config("two"))

    with pytest.raises(UnreachableError, match=message) as caught:
        connect(context=context, environ={"KUBECONFIG": f"{one}:{two}"})

    assert "contexts: one, two" in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=r"no kubeconfig: .*nowhere does not exist"):
        connect(kubeconfig=str(tmp_path / "nowhere"), environ={})


@pytest.mark.parametrize(
    "text", ["users: [{token: hunter2", "- hunter2", "users: {token: !!python/x hunter2}"]
)
def test_a_broken_file_is_named_without_quoting_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(UnreachableError, match=str(path)) as caught:
        connect(kubeconfig=str(path), environ={})

    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


def plugin(script: str, **fields: Any) -> dict[str, Any]:
    api = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": api, "command": sys.executable, "args": ["-c", script], **fields}}


COUNTING = """
import json, os, pathlib
count = pathlib.Path(os.environ["COUNT"])
count.write_text(str(int(count.read_text() or 0) + 1))
status = {"token": "plugin-" + count.read_text()}
api = "client.authentication.k8s.io/v1"
print(json.dumps({"apiVersion": api, "kind": "ExecCredential", "status": status}))
"""


def test_an_exec_plugin_logs_in_and_is_run_again_only_on_renewal(tmp_path: Path) -> None:
    count = write(tmp_path / "count", 0)
    user = plugin(COUNTING, env=[{"name": "COUNT", "value": str(count)}])
    path = write(tmp_path / "config", config("one", current="one", user=user))

    connection = connect(kubeconfig=str(path), environ={})

    assert connection.headers() == connection.headers() == {"Authorization": "Bearer plugin-1"}
    connection.renew()
    assert connection.headers() == {"Authorization": "Bearer plugin-2"}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import sys; sys.exit('no such profile')", "no such profile"),
        ("print('hello')", "failed to decode"),
        ("", "failed to decode"),
    ],
)
def test_a_plugin_that_fails_is_an_error_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], script: str, said: str
) -> None:
    path = write(tmp_path / "config", config("one", current="one", user=plugin(script)))
    handlers = list(logging.getLogger().handlers)
    shown: list[str] = []
    screen = logging.Handler()
    screen.emit = lambda record: shown.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(screen)

    with pytest.raises(UnreachableError, match=said):
        connect(kubeconfig=str(path), environ={})

    logging.getLogger().removeHandler(screen)
    assert (capfd.readouterr(), shown) == (("", ""), [])
    assert logging.getLogger().handlers == handlers


def test_a_connection_shows_no_token(tmp_path: Path) -> None:
    path = write(tmp_path / "config", config("one", current="one"))

    assert "token-of" not in repr(connect(kubeconfig=str(path), environ={}))


def test_no_proxy_stands_between_us_and_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")

    assert proxy_for("https://outside.example") == "http://proxy.example:3128"
    assert [proxy_for(f"https://{h}") for h in ("inside.example", "127.0.0.1:1", "[::1]", "localhost")] == [
        ""
    ] * 4


@pytest.mark.parametrize(
    ("server", "proxy"),
    [
        ("https://10.1.2.3", ""),
        ("https://11.1.2.3", "http://proxy.example:3128"),
        ("https://one.inside.example", ""),
        ("https://with-port.example:6443", ""),
        ("https://with-port.example:443", "http://proxy.example:3128"),
        ("https://[2001:db8::7]:6443", ""),
    ],
)
def test_no_proxy_may_hold_networks_domains_and_ports(
    monkeypatch: pytest.MonkeyPatch, server: str, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "10.0.0.0/8, .inside.example,with-port.example:6443,2001:db8::/32")

    assert proxy_for(server) == proxy


USERS: dict[str, tuple[dict[str, Any], str]] = {
    "a token": ({"token": "abc"}, "Bearer abc"),
    "a token of a file, beside which the other does not count": (
        {"token": "old", "tokenFile": "token"},
        "Bearer from-file",
    ),
    "a name and a password": ({"username": "ann", "password": "b:c"}, "Basic YW5uOmI6Yw=="),
    "a token wins over a password": ({"token": "abc", "username": "ann", "password": "p"}, "Bearer abc"),
}


@pytest.mark.parametrize("name", USERS)
def test_what_stands_in_the_file_logs_in_without_the_package(tmp_path: Path, name: str) -> None:
    user, header = USERS[name]
    (tmp_path / "token").write_text("from-file\n")
    path = write(tmp_path / "config", config("one", current="one", user=user))
    script = (
        "import sys; from pipeline.adapters.connection import connect;"
        f"print(connect(kubeconfig={str(path)!r}, environ={{}}).headers(), 'kubernetes' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == f"{ {'Authorization': header}!r} False"


def test_a_refused_token_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "config", config("one", current="one", user={"tokenFile": "token"}))
    (tmp_path / "token").write_text("first")
    connection = connect(kubeconfig=str(path), environ={})
    (tmp_path / "token").write_text("second")

    assert connection.headers() == {"Authorization": "Bearer first"}
    connection.renew()
    assert connection.headers() == {"Authorization": "Bearer second"}


@pytest.mark.parametrize("field", ["as", "as-groups", "as-uid", "as-user-extra"])
def test_to_act_as_another_is_refused_rather_than_forgotten(tmp_path: Path, field: str) -> None:
    user = {"token": "t", field: "viewer"}
    path = write(tmp_path / "config", config("one", current="one", user=user))

    with pytest.raises(UnreachableError, match=rf"acts as another \({field}\)"):
        connect(kubeconfig=str(path), environ={})


def test_a_user_that_is_not_there_is_told(tmp_path: Path) -> None:
    document = config("one", current="one") | {"users": []}

    with pytest.raises(UnreachableError, match="names a user that is not there"):
        connect(kubeconfig=str(write(tmp_path / "config", document)), environ={})


UNUSABLE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no base64": ({"certificate-authority-data": "a"}, {}, "certificate-authority-data is not base64"),
    "no certificate": (
        {"certificate-authority-data": "bm90IGEgcGVt"},
        {},
        "https://one.example: the certificate authority cannot be used",
    ),
    "no such file": (
        {"certificate-authority": "nowhere.crt"},
        {},
        r"certificate-authority .*nowhere.crt: No",
    ),
    "a certificate without its key": (
        {},
        {"client-certificate-data": "bm90IGEgcGVt"},
        "the client's certificate or key cannot be used",
    ),
    "a token file that is not there": ({}, {"tokenFile": "nowhere"}, r"tokenFile .*nowhere: No such file"),
    "a proxy of no kind": ({"proxy-url": "gopher://x"}, {}, "the proxy cannot be used"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_used_is_named(tmp_path: Path, name: str) -> None:
    cluster, user, message = UNUSABLE[name]
    document = config("one", current="one", user=user or None)
    document["clusters"][0]["cluster"].update(cluster)

    with pytest.raises(UnreachableError, match=message):
        connect(kubeconfig=str(write(tmp_path / "config", document)), environ={})
