"""What is fetched of the clone's remote, a branch or single objects: the one place where a git host is asked.

Programs that a repository's own configuration names are not run: neither hooks nor another upload-pack, ssh
or credential helper. Logging in is the business of the user's configuration and environment, which may name
the latter two; in GitHub Actions it is what actions/checkout left, or the token of the job.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from pipeline import failpoint
from pipeline.adapters.git_command import OBJECT_ID, Git, Settings, object_id, revision, shown
from pipeline.adapters.github_event import job_token
from pipeline.core.holder import GITHUB
from pipeline.core.redaction import scrub
from pipeline.failpoint import Point
from pipeline.model.errors import InvalidError, UnreachableError

_SETTINGS: Settings = (
    ("core.alternateRefsCommand", "true"),  # a command that a configuration names; this one does nothing
    ("transfer.bundleURI", "false"),  # CVE-2025-48385
    ("fetch.bundleURI", ""),
    ("http.followRedirects", "false"),  # the login would follow to another host
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("gc.autoDetach", "false"),  # nothing stays behind in the background
    ("maintenance.autoDetach", "false"),
)

_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15"
_LOGIN = r"^(credential\..*|core\.sshcommand)$"
_OF_ENVIRONMENT = {
    "GIT_SSH_COMMAND": "core.sshCommand",
    "GIT_SSL_CAINFO": "http.sslCAInfo",
    "GIT_SSL_CAPATH": "http.sslCAPath",
}
"""Variables of git that say how to log in, or whom to trust, as the settings that they stand for."""

_NAME = re.compile(r"\w[\w.-]{0,100}")
_URL = re.compile(r"(?:https|ssh)://\S+|(?:[\w.+-]+@)?\w[\w.-]*:(?!:|//)\S+")
_CONTROL = re.compile(r"[\x00-\x20\x7f]|%[01][0-9a-f]|%7f", re.IGNORECASE)
_REDIRECTED = re.compile(r"returned error: 30[1278]\b")
_GONE = re.compile(r"not our ref|does not allow request for unadvertised object")
_TOKEN = re.compile(r"[\x21-\x7e]+")


def latest(git: Git, branch: str, stopped: Callable[[], bool]) -> str:
    """Fetch ``branch`` of ``origin``, or of the only remote; without a remote it is the local branch.

    Its remote-tracking branch moves, as with any fetch; nothing else does.

    Raises:
        InvalidError: no such branch here, or a remote that is not fetched from.
        UnreachableError: the git host does not answer, does not let us in, or has no such branch.
    """
    name = revision(branch)
    remote = _remote(git)
    if not remote:
        return _commit(git, f"refs/heads/{name}")
    tracking = f"refs/remotes/{remote}/{name}"
    _fetch(git, remote, [f"+refs/heads/{name}:{tracking}"], stopped)
    return _commit(git, tracking)


def by_id(
    git: Git, ids: Sequence[str], stopped: Callable[[], bool], *options: str, settings: Settings = ()
) -> None:
    """Fetch objects by their ids; no branch moves. ``options`` are fixed words of ``git fetch``.

    Raises:
        InvalidError: there is no remote, it is not fetched from, or it has no such object.
        UnreachableError: the git host does not answer, or does not let us in.
    """
    remote = _remote(git)
    if not remote:
        raise InvalidError("the clone has no remote to fetch it from", hint="git remote add origin URL")
    try:
        # The clone may be big and in want of packing; whoever asks for one commit does not wait for that.
        wanted = [object_id(one) for one in ids]
        _fetch(git, remote, wanted, stopped, "--no-auto-maintenance", *options, settings=settings)
    except UnreachableError as error:
        if _GONE.search(error.message):
            raise InvalidError(f"{remote} does not have it, either") from error
        raise


def _fetch(
    git: Git,
    remote: str,
    wanted: Sequence[str],
    stopped: Callable[[], bool],
    *options: str,
    settings: Settings = (),
) -> None:
    url = _checked_url(git, remote)
    login = (*_login(git), *_token_of_job(git, url, os.environ))
    talking = git.talking((*_SETTINGS, *settings, *login), stopped)
    failpoint.passing(Point.FETCH_PRE)
    try:
        talking(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-prune",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--refmap=",
            "--upload-pack=git-upload-pack",
            *options,
            "--stdin",
            "--end-of-options",
            remote,
            stdin="".join(f"{one}\n" for one in wanted).encode(),
        )
    except UnreachableError as error:
        if _REDIRECTED.search(error.message):
            hint = f"redirects are not followed: git remote set-url {remote} to where it leads"
            raise UnreachableError(error.message, hint=hint) from error
        raise
    failpoint.passing(Point.FETCH_POST)


def fetch_commit(folder: Path, url: str, commit: str, stopped: Callable[[], bool]) -> None:
    """Make a repository in ``folder`` that holds one commit of another one.

    Raises:
        InvalidError: the address or the commit is none.
        UnreachableError: the git host does not answer, does not let us in, or has no such commit.
    """
    wanted = object_id(commit)
    if not url.startswith("https://") or not _URL.fullmatch(url) or _CONTROL.search(url):
        raise InvalidError(f"fetch {shown(scrub(url))}: no https address")
    git = Git(folder, trusted=True)
    git("init", "--quiet", "--template=")
    talking = git.talking((*_SETTINGS, *_login(git)), stopped)
    options = ("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head")
    try:
        talking("fetch", *options, "--upload-pack=git-upload-pack", "--end-of-options", url, wanted)
    except UnreachableError as error:
        raise UnreachableError(f"fetch {url} at {commit[:12]}: {error.message}", hint=error.hint) from error


def commit_of(folder: Path, files: Mapping[str, bytes]) -> str:
    """Make a repository in ``folder`` that holds one commit with these files, in no folders; its id."""
    git = Git(folder, trusted=True)
    git("init", "--quiet", "--template=")
    entries = []
    for name, content in sorted(files.items()):
        _, oid = git("hash-object", "-w", "--stdin", stdin=content)
        entries.append(f"100644 blob {oid.decode().strip()}\t{name}\0")
    _, tree = git("mktree", "-z", stdin="".join(entries).encode())
    who = "pipeline <> 0 +0000"
    text = f"tree {tree.decode().strip()}\nauthor {who}\ncommitter {who}\n\n"
    _, made = git("hash-object", "-t", "commit", "-w", "--stdin", stdin=text.encode())
    return made.decode().strip()


def _commit(git: Git, ref: str) -> str:
    _, output = git(
        "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", accept=(0, 1, 128)
    )
    found = output.decode(errors="replace").strip()
    if not OBJECT_ID.fullmatch(found):
        raise InvalidError(
            f"follow {shown(ref)}: there is no such branch here", hint="see `git branch --all`"
        )
    return found


def _remote(git: Git) -> str:
    """``origin``, else the only remote; empty where there is none."""
    _, output = git("remote")
    names = output.decode(errors="replace").split()
    if len(names) > 1 and "origin" not in names:
        told = ", ".join(shown(n) for n in names[:5])
        raise InvalidError(f"fetch: which remote? ({told})", hint="name one of them origin")
    name = "origin" if "origin" in names else (names or [""])[0]
    if name and not _NAME.fullmatch(name):
        raise InvalidError(f"fetch: {shown(name)} is no name of a remote", hint="rename it")
    return name


def _checked_url(git: Git, remote: str) -> str:
    """As git will ask it, ``insteadOf`` included. A path or another program's protocol is not fetched."""
    _, output = git("ls-remote", "--get-url", "--end-of-options", remote)
    url = output.decode(errors="replace").removesuffix("\n")
    if not _URL.fullmatch(url) or _CONTROL.search(url):
        raise InvalidError(
            f"fetch from {remote}: {shown(scrub(url))} is no https or ssh address",
            hint=f"git remote set-url {remote} URL; without a remote the local branch is followed",
        )
    return url


def _login(git: Git) -> Settings:
    """How the user logs in, by the user's own files and environment; what the repository's says of it no
    longer counts."""
    _, output = git("config", "--global", "--includes", "--null", "--get-regexp", _LOGIN, accept=(0, 1))
    entries = [entry.partition("\n")[::2] for entry in output.decode(errors="replace").split("\0") if entry]
    ours = [(key, value) for name, key in _OF_ENVIRONMENT.items() if (value := os.environ.get(name))]
    return (("core.sshCommand", _SSH), ("credential.helper", ""), *entries, *ours)


def _token_of_job(git: Git, url: str, environ: Mapping[str, str]) -> Settings:
    """The token of a GitHub Actions job, for that GitHub alone; nothing where the clone has a login of its
    own: GitHub refuses a request with two."""
    token, server = job_token(environ), (environ.get("GITHUB_SERVER_URL") or GITHUB).rstrip("/")
    asked = urlsplit(url)
    if not _TOKEN.fullmatch(token) or f"https://{asked.netloc}" != server or asked.scheme != "https":
        return ()
    code, _ = git("config", "--includes", "--get-regexp", r"^http\..*extraheader$", accept=(0, 1))
    if code == 0:
        return ()
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return (
        (f"http.{server}/.extraHeader", f"Authorization: Basic {basic}"),
        (f"http.{server}/.sslVerify", "true"),
    )
