"""A local Kubernetes cluster for tests, the demo and benchmarks: real but for its nodes.

Etcd, the API server, the controllers and the scheduler are the upstream programs; nodes
and pods are simulated by kwok after ``stages/*.yaml``. No root, no container, no image.

    with LocalCluster() as cluster:
        subprocess.run(["kubectl", "get", "nodes"], env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)})

``python -m tests.cluster.local up`` and ``… run -- COMMAND`` do so from a shell.
"""

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cluster import programs, stages
from tests.cluster.api import Api, kubeconfig
from tests.cluster.build import cluster_binary, kubernetes_version
from tests.cluster.runs import ClusterError, claim_folder, free_ports, last_words, supervise
from tests.cluster.toolchain import BuildError

POLL_S = 0.05
START_LIMIT_S = 60.0  # 15 times the usual: a machine that builds besides is slow
STARTS = 3  # a port may be lost between finding it free and listening on it
PORT_LOST = "address already in use"

ONE_FILE = "--audit-log-maxsize=1000000"  # MiB: else an audit log of 100 MiB is put aside, and none reads it

ADMIN = "admin"
# Users beside the administrator, and their groups. Their rights are ROLES below.
USERS: Mapping[str, Sequence[str]] = {"viewer": (), "deployer": (), "nobody": ()}
ROLES = {"viewer": "view", "deployer": "edit"}


class LocalCluster:
    """A cluster that runs from ``start`` (or ``with``) to ``stop``, or until we are gone.

    Several may run side by side. ``root`` is where each makes a folder of its own, by
    default below the system's folder for temporary files. Without ``kwok`` there are no
    nodes, and pods stay Pending. ``users`` adds to the users in ``USERS``, ``apiserver_flags``
    to the API server's command line.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        nodes: int = 3,
        kwok: bool = True,
        users: Mapping[str, Sequence[str]] | None = None,
        apiserver_flags: Sequence[str] = (),
    ) -> None:
        self.root = (root or Path(tempfile.gettempdir()) / f"pipeline-cluster-{os.getuid()}").absolute()
        self.nodes = min(nodes, programs.MAX_NODES) if kwok else 0
        self.users = {**USERS, **(users or {})}
        self._apiserver_flags = tuple(apiserver_flags)
        self._tokens: dict[str, str] = {}
        self._supervisor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def server(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self._ports.api}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's access."""
        return self.folder / "kubeconfig"

    @property
    def ca_file(self) -> Path:
        """What the API server's certificate is verified with: the certificate itself."""
        return self.folder / "certs/apiserver.crt"

    @property
    def token(self) -> str:
        """The administrator's bearer token."""
        return self._tokens[ADMIN]

    def token_of(self, user: str) -> str:
        """The bearer token of a user that the API server knows."""
        return self._tokens[user]

    @property
    def api(self) -> Api:
        """The administrator's API."""
        return Api(server=self.server, token=self.token, ca_file=self.ca_file)

    def user_kubeconfig(self, name: str, groups: Sequence[str] = ()) -> Path:
        """Return the access of a user without rights, but for ``ROLES`` and what you grant.

        The API server reads its users only as it starts. A user it does not know, or in
        other groups, costs a restart, seconds long; those of ``__init__`` do not.
        """
        if name not in self.users or (groups and tuple(groups) != tuple(self.users[name])):
            self.users[name] = tuple(groups)
            self._write_tokens()
            self.restart_apiserver()
        path = self.folder / f"kubeconfig-{name}"
        self._write_secret(path, kubeconfig(self.server, self.ca_file.read_bytes(), self._tokens[name], name))
        return path

    def create_namespace(self, name: str) -> None:
        """Return when the namespace has the service account that its pods need."""
        self.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self._wait_for_account(name)

    def start(self) -> None:
        """Return as soon as the cluster is ready for any object, some seconds later.

        Raises:
            BuildError: there is no binary and it cannot be built.
            ClusterError: it does not get ready.
        """
        binary = cluster_binary()
        for left in reversed(range(STARTS)):
            try:
                self._start_once(binary)
                break
            except BaseException as error:
                self.stop()
                if left and PORT_LOST in str(error).lower():
                    continue
                raise

    def stop(self) -> None:
        """End all programs and remove the folder. No harm if it is done already."""
        if self._supervisor and self._supervisor.stdin:
            self._supervisor.stdin.close()
            self._supervisor.wait()
        self._supervisor = None

    def stop_apiserver(self) -> None:
        """Take the API server away, as if it crashed; the rest keeps running."""
        self._tell("kill kube-apiserver")
        self._wait("the API server's end", lambda: not self._answers())

    def start_apiserver(self) -> None:
        """Bring the API server back, with all objects, and wait until it is ready."""
        self._tell("start kube-apiserver")
        self._wait("the API server", lambda: self.api.holds("/readyz"))

    def restart_apiserver(self) -> None:
        """Interrupt every connection and watch."""
        self.stop_apiserver()
        self.start_apiserver()

    def _start_once(self, binary: Path) -> None:
        self._ports = free_ports()
        self.folder, lock = claim_folder(self.root)
        with lock:
            self._write_files(binary)
            self._supervisor = supervise(self.folder, lock)
        self._tell("start etcd", "start kube-apiserver")
        # Its certificate is the first thing the API server makes; clients need it.
        self._wait("the API server's certificate", lambda: self._complete(self.ca_file))
        access = kubeconfig(self.server, self.ca_file.read_bytes(), self.token, ADMIN)
        self._write_secret(self.kubeconfig, access)
        self._wait("the API server", lambda: self.api.holds("/readyz"))
        others = ["kube-controller-manager", "kube-scheduler", "kubelet", *(["kwok"] if self.nodes else [])]
        self._tell(*(f"start {name}" for name in others))
        self._create_objects()
        self._wait_for_account("default")
        self._wait("the API server's way out", (self.folder / programs.EGRESS_SOCKET).exists)
        self._wait("the nodes", lambda: self.api.holds("/api/v1/nodes", self._nodes_ready))

    def _write_files(self, binary: Path) -> None:
        self._write_tokens()
        written = stages.write(self.folder / "stages", kubernetes_version())
        commands = programs.commands(binary, self.folder, self._ports, written)
        commands["kube-apiserver"] += self._apiserver_flags
        (self.folder / "programs.json").write_text(json.dumps(commands, indent=2))
        (self.folder / "egress.json").write_text(json.dumps(programs.EGRESS, indent=2))

    def _write_tokens(self) -> None:
        users = {ADMIN: ("system:masters",), **self.users}
        for user in users:
            self._tokens.setdefault(user, secrets.token_hex(16))
        rows = (f'{self._tokens[user]},{user},{user},"{",".join(groups)}"' for user, groups in users.items())
        self._write_secret(self.folder / "tokens.csv", "\n".join(rows) + "\n")

    def _create_objects(self) -> None:
        for number in range(1, self.nodes + 1):
            self.api.call("POST", "/api/v1/nodes", programs.node(number, self._ports.kubelet))
        if self.nodes:
            self.api.call("POST", "/apis/storage.k8s.io/v1/storageclasses", programs.STORAGE_CLASS)
        group = "rbac.authorization.k8s.io"
        for user, role in ROLES.items():
            binding = {
                "metadata": {"name": f"local-{user}"},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
            }
            self.api.call("POST", f"/apis/{group}/v1/clusterrolebindings", binding)

    def _nodes_ready(self, answer: Any) -> bool:
        # The controllers take the taint away once they have seen the node ready.
        return all(
            not node["spec"].get("taints")
            and any(
                state["type"] == "Ready" and state["status"] == "True"
                for state in node["status"].get("conditions", ())
            )
            for node in answer["items"]
        )

    @staticmethod
    def _complete(certificate: Path) -> bool:
        return certificate.exists() and certificate.read_bytes().rstrip().endswith(
            b"-----END CERTIFICATE-----"
        )

    def _wait_for_account(self, namespace: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        self._wait("the default service account", lambda: self.api.holds(path))

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._ports.api), 1):
            return True
        return False

    def _tell(self, *commands: str) -> None:
        if not self._supervisor or not self._supervisor.stdin:
            raise ClusterError("the local cluster is not running; hint: use it as a context manager")
        for command in commands:
            self._supervisor.stdin.write(f"{command}\n".encode())
        self._supervisor.stdin.flush()

    def _wait(self, what: str, condition: Callable[[], bool]) -> None:
        limit = time.monotonic() + START_LIMIT_S
        while not condition():
            for ended in self.folder.glob("*.ended"):
                name = ended.stem
                raise ClusterError(f"start {name}: it ended: {last_words(self.folder / f'{name}.log')}")
            if time.monotonic() > limit:
                raise ClusterError(f"start the local cluster: waited {START_LIMIT_S:.0f} s for {what}")
            time.sleep(POLL_S)

    @staticmethod
    def _write_secret(path: Path, text: str) -> None:
        path.touch(mode=0o600)
        path.write_text(text)


def _environment(cluster: LocalCluster) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}


def _stay(cluster: LocalCluster) -> int:
    print(cluster.kubeconfig, flush=True)
    print(f"export KUBECONFIG={cluster.kubeconfig}   # until Ctrl-C", file=sys.stderr, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()
    return 0


def _run(cluster: LocalCluster, command: Sequence[str]) -> int:
    try:
        return subprocess.run(command, env=_environment(cluster), check=False).returncode
    except FileNotFoundError:
        print(f"error: run {command[0]}: no such command", file=sys.stderr)
        return 127


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.local", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--nodes", type=int, default=3, help="how many nodes to simulate (default %(default)s)"
    )
    parser.add_argument(
        "--root", type=Path, help="where to keep the cluster's folder (default: in the temporary folder)"
    )
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("up", help="print the path of a kubeconfig, and keep the cluster until Ctrl-C")
    run = actions.add_parser("run", help="run a command with KUBECONFIG set; its exit code is ours")
    run.add_argument("command", nargs="+", metavar="COMMAND", help="after --")
    return parser.parse_args()


def main() -> int:
    """Serve the command line."""
    arguments = _arguments()
    # So that a plain kill ends the cluster in an orderly way, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with LocalCluster(arguments.root, nodes=arguments.nodes) as cluster:
            return _stay(cluster) if arguments.action == "up" else _run(cluster, arguments.command)
    except (BuildError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
