"""Logins to hosts of charts and files, where other programs keep them, too: Helm and Docker, and AWS.

A login is for the exact host that it is kept for. It is given to that host alone, over TLS, and stands in no
argument, message or log.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pipeline.adapters import aws, child, yaml
from pipeline.adapters.private_folder import folder_of
from pipeline.core.reading import items, mapping, text
from pipeline.model.errors import InvalidError, UnreachableError

Login = Callable[[str], str]
"""host → user and password as Basic authentication writes them (RFC 7617); empty where there is none."""

_ECR: Final = re.compile(
    r"[0-9]{12}\.(?:dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"|dkr-ecr(?:-fips)?\.([a-z0-9-]+)\.on\.(?:aws|amazonwebservices\.com\.cn))"
)
"""Registries of AWS, with their region: one gets in by the right to ask for a token."""
_HUB: Final = "https://index.docker.io/v1/"
"""What Docker calls its own registry in its configuration."""
_HUB_HOSTS: Final = ("docker.io", "registry-1.docker.io", "index.docker.io")
_VARIABLE: Final = "DOCKER_AUTH_CONFIG"
"""The text of such a file, as Docker (28.3) and GitLab's runners have it."""
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LIMITS: Final = child.Limits(seconds=30, output_bytes=child.MIB)


def nobody(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Logins:
    """``environ`` says where files and programs are; ``tell`` hears each secret, so that nobody shows it."""

    environ: Mapping[str, str]
    tell: Callable[..., None]
    stopped: Callable[[], bool] = child.never

    def of(self, host: str) -> str:
        """User and password as Basic authentication writes them (RFC 7617); empty where there is no login.

        Raises:
            UnreachableError: a file or program that keeps logins cannot be read, or AWS gives no token.
        """
        for where, content in self._kept():
            if pair := self._among(where, content, host):
                return self._told(*pair)
        if pair := self._of_repository(host):
            return self._told(*pair)
        if match := _ECR.fullmatch(host):
            return self._of_ecr(host, match[1] or match[2])
        return ""

    @property
    def _home(self) -> Path:
        return Path(self.environ.get("HOME") or Path.home())

    @property
    def _helm(self) -> Path:
        config = self.environ.get("XDG_CONFIG_HOME") or self._home / ".config"
        return Path(self.environ.get("HELM_CONFIG_HOME") or Path(config) / "helm")

    def _files(self) -> Iterator[Path]:
        """Where ``helm registry login`` and ``docker login`` write to."""
        yield Path(self.environ.get("HELM_REGISTRY_CONFIG") or self._helm / "registry" / "config.json")
        yield Path(self.environ.get("DOCKER_CONFIG") or self._home / ".docker") / "config.json"

    def _of_repository(self, host: str) -> tuple[str, str] | None:
        """(user, password) that ``helm repo add`` wrote down, of the first repository of the host."""
        file = Path(self.environ.get("HELM_REPOSITORY_CONFIG") or self._helm / "repositories.yaml")
        content = _content(file)
        if content is None:
            return None
        try:
            documents = yaml.load_documents(str(file), content)
        except InvalidError:
            raise UnreachableError(f"read the logins in {file}: not YAML") from None
        for entry in items(documents[0].value, "repositories") if documents else ():
            try:
                parts = urlsplit(text(entry, "url"))
            except ValueError:
                continue
            if (parts.scheme, parts.netloc) == ("https", host) and (pair := _pair(entry, str(file))):
                return pair
        return None

    def _kept(self) -> Iterator[tuple[str, bytes]]:
        """(where it stands, text) of all that keeps logins: a variable, where no file gets, and files."""
        if written := self.environ.get(_VARIABLE):
            yield _VARIABLE, written.encode()
        for file in self._files():
            content = _content(file)
            if content is not None:
                yield str(file), content

    def _among(self, where: str, content: bytes, host: str) -> tuple[str, str] | None:
        """(user, password) that stand there, or by the program that it names for the host."""
        try:
            settings = json.loads(content)
        except (ValueError, RecursionError):
            raise UnreachableError(f"read the logins in {where}: not JSON", hint="log in anew") from None
        for name in _names(host):
            entry = mapping(mapping(settings, "auths"), name)
            if pair := _pair(entry, f"{name} in {where}"):
                return pair
        name = _HUB if host in _HUB_HOSTS else host
        helper = text(mapping(settings, "credHelpers"), name) or text(settings, "credsStore")
        return self._of_helper(helper, name) if helper else None

    def _of_helper(self, helper: str, name: str) -> tuple[str, str] | None:
        """What a program of the user's says (the protocol of docker-credential-helpers)."""
        program = shutil.which(f"docker-credential-{helper}", path=self.environ.get("PATH"))
        if not _HELPER.fullmatch(helper) or program is None:
            return None  # as in a container that has a laptop's configuration
        with folder_of({}) as folder:
            ended = child.run(
                [program, "get"],
                folder=folder,
                environ=self.environ,
                limits=_LIMITS,
                stopped=self.stopped,
                stdin=name.encode(),
                alone=False,
            )
        if ended.code:  # it has none, which each program says otherwise
            return None
        try:
            told = json.loads(ended.output)
        except (ValueError, RecursionError):
            told = None
        pair = {"username": text(told, "Username"), "password": text(told, "Secret")}
        return _pair(pair, f"{name}, by docker-credential-{helper}")

    def _of_ecr(self, host: str, region: str) -> str:
        with aws.aws_errors(f"logging in to {host}", "ecr:GetAuthorizationToken, and the rights to pull"):
            answer = aws.client(aws.session(region), "ecr", region).get_authorization_token()
            token = answer["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(token).decode().partition(":")
        return self._told(user, password)

    def _told(self, user: str, password: str) -> str:
        written = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.tell(password, written)
        return written


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnreachableError(f"read the logins in {file}: {error.strerror}") from error


def _names(host: str) -> tuple[str, ...]:
    """What a host is called in such a file: as it is, or as an address, as Docker did once."""
    if host in _HUB_HOSTS:
        return (host, _HUB)
    return host, f"https://{host}", f"https://{host}/", f"https://{host}/v1/", f"https://{host}/v2/"


def _pair(entry: Mapping[str, Any], what: str) -> tuple[str, str] | None:
    """(user, password) of an entry; None where it has none."""
    user, password = text(entry, "username"), text(entry, "password")
    if written := text(entry, "auth"):
        try:
            user, colon, password = base64.b64decode(written, validate=True).decode().partition(":")
        except ValueError:  # no base64, no UTF-8
            colon = ""
        if not colon:
            message = f"read the login of {what}: it is no user and password"
            raise UnreachableError(message, hint="log in anew")
    password = password.rstrip("\0")
    if text(entry, "identitytoken") or user == "<token>":
        hint = "log in with a user and a password or token"
        raise UnreachableError(f"read the login of {what}: identity tokens are not supported", hint=hint)
    return (user, password) if user and password else None
