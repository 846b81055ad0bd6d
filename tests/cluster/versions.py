"""Write go.mod and go.sum anew for another version of Kubernetes.

``python -m tests.cluster.versions 1.36.4`` needs a Go module proxy and takes seconds;
the next use of the cluster builds it. Every other place derives the version from go.mod.

``k8s.io/kubernetes`` is not meant to be imported: its go.mod points its libraries to
folders of its own repository, which importers do not have. Each is published under the
same name, with the same number but for a leading 0, so each gets a replacement.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.cluster.build import SOURCES, toolchain
from tests.cluster.toolchain import BuildError

KUBERNETES = "k8s.io/kubernetes"
ETCD = "go.etcd.io/etcd/server/v3"
KWOK = "sigs.k8s.io/kwok"


def requirements(kubernetes: str, kwok: str) -> list[str]:
    """Return the edits of an empty go.mod that make it import this Kubernetes."""
    upstream = _upstream_gomod(kubernetes)
    library = "v0." + kubernetes.split(".", 1)[1]
    staged = [
        entry["Old"]["Path"] for entry in upstream["Replace"] if entry["New"]["Path"].startswith("./staging/")
    ]
    etcd = next(entry["Version"] for entry in upstream["Require"] if entry["Path"] == ETCD)
    return [
        f"-go={upstream['Go']}",
        f"-require={KUBERNETES}@v{kubernetes}",
        f"-require={ETCD}@{etcd}",
        f"-require={KWOK}@v{kwok}",
        *(f"-replace={path}={path}@{library}" for path in staged),
    ]


def _upstream_gomod(kubernetes: str) -> Any:
    downloaded = json.loads(_go(SOURCES, "mod", "download", "-json", f"{KUBERNETES}@v{kubernetes}"))
    return json.loads(_go(SOURCES, "mod", "edit", "-json", downloaded["GoMod"]))


def _go(folder: Path, *arguments: str) -> str:
    command = [str(toolchain()), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        # "mod download -json" tells its errors in its answer, the others beside it.
        why = (
            re.findall(r'"Error": "(.*)"', done.stdout)
            or done.stderr.strip().splitlines()
            or ["no reason given"]
        )
        raise BuildError(f"go {' '.join(arguments[:2])} failed: {why[-1]}; hint: does that version exist?")
    return done.stdout


def _current_kwok() -> str:
    found = re.search(rf"{KWOK} v(\S+)", (SOURCES / "go.mod").read_text())
    return found[1] if found else ""


def write(kubernetes: str, kwok: str) -> None:
    """Replace go.mod and go.sum, both or, if Go refuses the result, neither."""
    edits = requirements(kubernetes, kwok)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "main.go").write_text((SOURCES / "main.go").read_text())
        _go(folder, "mod", "init", "cluster")
        _go(folder, "mod", "edit", *edits)
        _go(folder, "mod", "tidy")
        for part in ("go.mod", "go.sum"):
            (SOURCES / part).write_text((folder / part).read_text())


def main() -> int:
    """Read the wanted versions from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.cluster.versions", description=__doc__.splitlines()[0]
    )
    parser.add_argument("kubernetes", help="e.g. 1.36.3")
    parser.add_argument(
        "--kwok", default=_current_kwok(), help="kwok follows Kubernetes' libraries (default %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        write(arguments.kubernetes, arguments.kwok)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"go.mod now has Kubernetes {arguments.kubernetes}; the next start builds it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
