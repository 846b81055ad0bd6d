"""Kubeconfig entries for EKS clusters, in the shape of ``aws eks update-kubeconfig``.

Names and fields are the same, so that either tool replaces the other's entry; only the exec command
differs. The file is edited as a tree of YAML nodes: what is not ours keeps its order and spelling
(comments are lost, as with kubectl and the aws CLI).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.model.environment import EksCluster
from pipeline.model.errors import InvalidError, UnreachableError

from .connection import kubeconfig_paths
from .eks import EksDescription, describe

EMPTY: dict[str, Any] = {
    "apiVersion": "v1",
    "clusters": [],
    "contexts": [],
    "current-context": "",
    "kind": "Config",
    "preferences": {},
    "users": [],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeconfigOptions:
    """The options of the command, as the aws CLI names them."""

    kubeconfig: str = ""
    role_arn: str = ""
    alias: str = ""
    user_alias: str = ""
    proxy_url: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class KubeconfigResult:
    """``text`` is for stdout: a sentence or, with a dry run, the file as it would be."""

    path: Path
    context: str
    text: str
    warnings: tuple[str, ...] = ()


def eks_kubeconfig(
    cluster: EksCluster, options: KubeconfigOptions, environ: Mapping[str, str] | None = None
) -> KubeconfigResult:
    """Look the cluster up and put its entry into a kubeconfig, as the current context.

    ``cluster.describe_role`` is the CLI's ``--assume-role-arn``; ``options.role_arn``, else
    ``cluster.role``, its ``--role-arn``.

    Raises:
        UnreachableError: as ``eks.describe``, or the file cannot be written.
        InvalidError: the file is no kubeconfig; it is left as it is.
    """
    env = os.environ if environ is None else environ
    found = describe(cluster)
    path = choose_file(kubeconfig_paths(options.kubeconfig, env), found.arn)
    entries = kubeconfig_entries(found, options, options.role_arn or cluster.role, env)
    context = entries["context"]["name"]
    if options.dry_run:
        text, _ = edited(path, entries)
        return KubeconfigResult(path, context, text)
    with _writing(path) as target:
        text, is_new = edited(target, entries)
        warnings = _warnings(target)
        _replace(target, text)
    done = f"Added new context {context} to {path}" if is_new else f"Updated context {context} in {path}"
    return KubeconfigResult(path, context, done, warnings)


def kubeconfig_entries(
    found: EksDescription, options: KubeconfigOptions, role: str, env: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """The three entries, by kind: ``cluster``, ``user``, ``context``."""
    cluster = {"certificate-authority-data": found.ca_data, "server": found.endpoint}
    if options.proxy_url:
        cluster["proxy-url"] = options.proxy_url
    command: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "args": ["eks", "token", "--region", found.region, "--name", found.id],
        "command": "pipeline",
    }
    if role:
        command["args"] += ["--role-arn", role]
    if env.get("AWS_PROFILE"):
        command["env"] = [{"name": "AWS_PROFILE", "value": env["AWS_PROFILE"]}]
    user = options.user_alias or found.arn
    return {
        "cluster": {"cluster": cluster, "name": found.arn},
        "user": {"name": user, "user": {"exec": command}},
        "context": {"context": {"cluster": found.arn, "user": user}, "name": options.alias or user},
    }


def choose_file(paths: tuple[Path, ...], arn: str) -> Path:
    """The first file that has the cluster already, else the first."""
    for path in paths:
        with contextlib.suppress(InvalidError, UnreachableError):
            if _index(_section(_tree(path), "clusters"), arn) is not None:
                return path
    return paths[0]


def edited(path: Path, entries: Mapping[str, dict[str, Any]]) -> tuple[str, bool]:
    """(the file's text with the entries in place, whether the context is new)."""
    root = _tree(path)
    is_new = _index(_section(root, "contexts"), entries["context"]["name"]) is None
    for kind, entry in entries.items():
        section = _section(root, f"{kind}s")
        at = _index(section, entry["name"])
        if at is None:
            section.value.append(_node(entry))
        else:
            section.value[at] = _node(entry)
    _set(root, "current-context", _node(entries["context"]["name"]))
    return yaml.serialize(root, Dumper=yaml.SafeDumper, width=1 << 20, allow_unicode=True), is_new


def _tree(path: Path) -> yaml.MappingNode:
    try:
        root = yaml.compose(path.read_text("utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError:
        root = None
    except OSError as exc:
        raise UnreachableError(f"reading the kubeconfig {path}: {exc.strerror}") from exc
    except (yaml.YAMLError, UnicodeDecodeError):
        raise InvalidError(f"reading the kubeconfig {path}: it is not YAML") from None
    root = root or _node(EMPTY)
    if not isinstance(root, yaml.MappingNode):
        raise InvalidError(f"reading the kubeconfig {path}: it is not a mapping")
    return root


def _section(root: yaml.MappingNode, name: str) -> yaml.SequenceNode:
    """The list of that name, made where it is missing or null."""
    for key, value in root.value:
        if key.value == name and isinstance(value, yaml.SequenceNode):
            if not value.value:
                value.flow_style = root.flow_style  # ``[]`` is filled as a block
            return value
        if key.value == name and value.tag != "tag:yaml.org,2002:null":
            raise InvalidError(f"editing the kubeconfig: {name} is not a list")
    made = yaml.SequenceNode("tag:yaml.org,2002:seq", [], flow_style=root.flow_style)
    _set(root, name, made)
    return made


def _set(root: yaml.MappingNode, name: str, value: yaml.Node) -> None:
    for at, (key, _) in enumerate(root.value):
        if key.value == name:
            root.value[at] = (key, value)
            return
    root.value.append((_node(name), value))


def _index(section: yaml.SequenceNode, name: str) -> int | None:
    for at, item in enumerate(section.value):
        if isinstance(item, yaml.MappingNode):
            for key, value in item.value:
                if key.value == "name" and value.value == name:
                    return at
    return None


def _node(value: Any) -> Any:
    return yaml.compose(
        yaml.safe_dump(value, default_flow_style=False, sort_keys=False), Loader=yaml.SafeLoader
    )


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """The file behind links, its folder made and locked against other runs of ours."""
    try:
        target = path.resolve()
        _make_folder(target.parent)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield target
        finally:
            os.close(folder)
    except OSError as exc:
        raise UnreachableError(f"writing the kubeconfig {path}: {exc.strerror}") from exc


def _make_folder(folder: Path) -> None:
    """Missing folders, for the owner alone."""
    for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _replace(target: Path, text: str) -> None:
    """Whole or not at all, readable by the owner alone."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(draft, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _warnings(target: Path) -> tuple[str, ...]:
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        return ()
    if mode & 0o077:
        return (f"{target} was accessible to other users (mode {mode:04o}); it is now 0600",)
    return ()
