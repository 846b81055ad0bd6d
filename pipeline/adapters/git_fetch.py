"""The commit that a branch is at on the clone's remote: the one place where a git host is asked.

Programs that a repository's own configuration names are not run: neither hooks nor another upload-pack, ssh
or credential helper. Logging in is the business of the user's configuration, which may name the latter two.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pipeline.adapters.git_command import OBJECT_ID, Git, Settings, revision, shown
from pipeline.core.redaction import scrub
from pipeline.model.errors import InvalidError, UnreachableError

_SETTINGS: Settings = (
    ("core.alternateRefsCommand", "true"),  # a command that a configuration names; this one does nothing
    ("transfer.bundleURI", "false"),  # CVE-2025-48385
    ("http.followRedirects", "false"),  # the login would follow to another host
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("gc.autoDetach", "false"),  # nothing stays behind in the background
    ("maintenance.autoDetach", "false"),
)

_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=15 -o ServerAliveInterval=15"
_LOGIN = r"^(credential\..*|core\.sshcommand)$"

_NAME = re.compile(r"\w[\w.-]{0,100}")
_URL = re.compile(r"(?:https|ssh)://\S+|(?:[\w.+-]+@)?\w[\w.-]*:(?!:|//)\S+")
_CONTROL = re.compile(r"[\x00-\x20\x7f]|%[01][0-9a-f]|%7f", re.IGNORECASE)
_REDIRECTED = re.compile(r"returned error: 30[1278]\b")


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
    _check_url(git, remote)
    tracking = f"refs/remotes/{remote}/{name}"
    talking = git.talking((*_SETTINGS, *_login(git)), stopped)
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
            "--end-of-options",
            remote,
            f"+refs/heads/{name}:{tracking}",
        )
    except UnreachableError as error:
        if _REDIRECTED.search(error.message):
            hint = f"redirects are not followed: git remote set-url {remote} to where it leads"
            raise UnreachableError(error.message, hint=hint) from error
        raise
    return _commit(git, tracking)


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
        raise InvalidError(f"follow a branch: which remote? ({told})", hint="name one of them origin")
    name = "origin" if "origin" in names else (names or [""])[0]
    if name and not _NAME.fullmatch(name):
        raise InvalidError(f"follow a branch: {shown(name)} is no name of a remote", hint="rename it")
    return name


def _check_url(git: Git, remote: str) -> None:
    """As git will ask it, ``insteadOf`` included. A path or another program's protocol is not fetched."""
    _, output = git("ls-remote", "--get-url", "--end-of-options", remote)
    url = output.decode(errors="replace").removesuffix("\n")
    if not _URL.fullmatch(url) or _CONTROL.search(url):
        raise InvalidError(
            f"follow a branch of {remote}: {shown(scrub(url))} is no https or ssh address",
            hint=f"git remote set-url {remote} URL; without a remote the local branch is followed",
        )


def _login(git: Git) -> Settings:
    """How the user logs in, by the user's own files; what the repository's says of it no longer counts."""
    _, output = git("config", "--global", "--includes", "--null", "--get-regexp", _LOGIN, accept=(0, 1))
    entries = [entry.partition("\n")[::2] for entry in output.decode(errors="replace").split("\0") if entry]
    return (("core.sshCommand", _SSH), ("credential.helper", ""), *entries)
