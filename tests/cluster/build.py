"""Build the local cluster's one binary, once for each set of its sources.

``python -m tests.cluster.build`` prints the binary's path. The binary is kept in the
user's cache, in a folder named after a digest of all that it is made from, so that a
checkout of another revision neither finds a wrong binary nor spoils this one's.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.toolchain import BuildError, find_go, go_version

SOURCES = Path(__file__).parent
VERSION_PACKAGE = "k8s.io/component-base/version"


def kubernetes_version() -> str:
    """Return the version that go.mod names, e.g. ``1.36.3``: the only place that does."""
    return _in_gomod(r"^\s*k8s\.io/kubernetes v(\S+)$")


def cluster_binary() -> Path:
    """Return the cluster's binary, after building it if need be.

    Raises:
        BuildError: it cannot be built.
    """
    cache = _cache()
    with _one_at_a_time(cache / "lock"):
        go = toolchain()
        folder = cache / _digest(go)
        binary = folder / "cluster"
        if not binary.exists():
            folder.mkdir(exist_ok=True)
            # Beside its final place, for a rename to be atomic; a build that was
            # killed leaves a half binary under another name, which the next removes.
            unfinished = folder / "unfinished"
            _compile(go, unfinished)
            unfinished.rename(binary)
    return binary


def toolchain() -> Path:
    """Return a Go that can build what go.mod asks for."""
    return find_go(_in_gomod(r"^go (\S+)$"), _cache())


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipeline-cluster"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


def _in_gomod(pattern: str) -> str:
    found = re.search(pattern, (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise BuildError(
            f"read {SOURCES / 'go.mod'}: nothing matches {pattern}; hint: python -m tests.cluster.versions"
        )
    return found[1]


def _digest(go: Path) -> str:
    parts = [(SOURCES / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")]
    parts += [part.encode() for part in (*_flags(), os.environ.get("GOFLAGS", ""), go_version(go))]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()[:16]


def _flags() -> list[str]:
    version = kubernetes_version()
    major, minor = version.split(".")[:2]
    # A release binary gets its version from the linker. Without, the API server calls
    # itself v0.0.0 and clients refuse it.
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    stamps = " ".join(f"-X {VERSION_PACKAGE}.{name}={value}" for name, value in values.items())
    return ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {stamps}"]


@contextlib.contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another build of the local cluster")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _compile(go: Path, result: Path) -> None:
    what = f"building the local cluster (Kubernetes {kubernetes_version()}), once, 6 to 10 minutes on 2 cores"
    _say(what)
    environment = {**os.environ, "CGO_ENABLED": "0"}
    total = _packages_to_build(go, environment)
    with tempfile.TemporaryFile("w+") as output:
        command = [str(go), "build", "-v", *_flags(), "-o", str(result), "."]
        process = subprocess.Popen(command, cwd=SOURCES, env=environment, stdout=output, stderr=output)
        try:
            _report(process, output.fileno(), what, total)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            raise BuildError(
                f"go build failed: {_last_words(output.fileno())}; hint: cd {SOURCES} && go build ."
            )


def _packages_to_build(go: Path, environment: dict[str, str]) -> int:
    """Count what is not in Go's own build cache yet; that is what ``-v`` will name."""
    command = [str(go), "list", "-deps", "-trimpath", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", "."]
    done = subprocess.run(command, cwd=SOURCES, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BuildError(
            f"go cannot load the cluster's packages: {why}; hint: is a Go module proxy reachable?"
        )
    return len(done.stdout.split())


def _report(process: subprocess.Popen[bytes], output: int, what: str, total: int) -> None:
    """Wait for the compiler; say how far it is, on one line if a person is watching."""
    began = time.monotonic()
    on_screen = sys.stderr.isatty()
    every_s = 1 if on_screen else 30
    while True:
        try:
            process.wait(every_s)
        except subprocess.TimeoutExpired:
            done = os.pread(output, os.fstat(output).st_size, 0).count(b"\n")
            minutes, seconds = divmod(int(time.monotonic() - began), 60)
            line = f"{what}: {min(done, total)} of {total} packages, {minutes}:{seconds:02}"
            print(
                f"\r{line}" if on_screen else line, end="" if on_screen else "\n", file=sys.stderr, flush=True
            )
        else:
            if on_screen:
                print(file=sys.stderr)
            return


def _last_words(output: int) -> str:
    """Return the compiler's first complaint, among names of packages and downloads."""
    lines = os.pread(output, os.fstat(output).st_size, 0).decode(errors="replace").splitlines()
    complaints = [line for line in lines if " " in line and not line.startswith(("#", "go: downloading"))]
    return complaints[0] if complaints else "no reason given"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Print the binary's path, or the one line that says why there is none."""
    try:
        print(cluster_binary())
    except BuildError as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
