"""Files that SOPS encrypted, decrypted by SOPS itself: the clear text goes from its output into our memory.

The file itself says which keys it needs, and is somebody else's text: a store whose address stands in the
file would be asked for its key with this machine's login. So these are refused.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.adapters import child, yaml
from pipeline.adapters.private_folder import folder_of
from pipeline.core import encrypted
from pipeline.model.errors import InvalidError, Problem
from pipeline.model.objects import Manifest, Origin

VARIABLE: Final = "PIPELINE_SOPS"
_LIMITS: Final = child.Limits(seconds=30, memory_bytes=512 * child.MIB, output_bytes=16 * child.MIB)
_KEPT: Final = (
    "SOPS_",
    "AWS_",
    "GOOGLE_",
    "CLOUDSDK_",
    "GNUPGHOME",
    "XDG_",
    "HOME",
    "PATH",
    "SSL_",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
)
"""What SOPS finds its keys with; a child process gets nothing else of the machine's."""
_INSTALL: Final = f"install sops, getsops.io, or name it with {VARIABLE}"
_NO_KEY: Final = "give it the key: SOPS_AGE_KEY or SOPS_AGE_KEY_FILE for age, or a login for KMS"


@dataclass(frozen=True, slots=True)
class Sops:
    """Reads files with encrypted documents among them. ``tell`` hears each text that was encrypted."""

    tell: Callable[..., None]
    program: str = ""
    stopped: Callable[[], bool] = child.never

    def manifests(self, path: str, content: bytes) -> list[Manifest]:
        """``yaml.load_manifests``, also of encrypted files; the lines are those of the file.

        Raises:
            InvalidError: as there, or the file cannot be decrypted.
        """
        return yaml.manifests_of(path, self.documents(path, content))

    def documents(self, path: str, content: bytes) -> list[yaml.Document]:
        """``yaml.load_documents``, likewise."""
        if encrypted.is_settings(path):
            return []
        documents = yaml.load_documents(path, content)
        if b"sops" not in content or not any(encrypted.is_encrypted(d.value) for d in documents):
            if encrypted.claims_to_be(path):
                message = "it is named as encrypted and is not"
                raise _refused(path, 1, message, "sops encrypt --in-place, and change what it gave away")
            return documents
        _check_keys(path, documents)
        clear = yaml.load_documents(path, self._decrypt(path, content, documents))
        if len(clear) != len(documents):
            raise _refused(
                path, 1, f"sops makes {len(clear)} documents of {len(documents)}", "encrypt it anew"
            )
        found = [replace(known, value=new.value) for known, new in zip(documents, clear, strict=True)]
        for known, new in zip(documents, clear, strict=True):
            self.tell(*encrypted.secrets(known.value, new.value))
        return found

    def _decrypt(self, path: str, content: bytes, documents: Sequence[yaml.Document]) -> bytes:
        named = self.program or os.environ.get(VARIABLE, "")
        program = shutil.which(named or "sops")
        line = _line(documents[0])
        if program is None:
            what = f"{VARIABLE} names {named}, which is no program" if named else "there is no sops"
            raise _refused(path, line, f"it is encrypted, and {what}", _INSTALL)
        kinds = set(encrypted.keys(documents[0].value))
        kind = "json" if path.endswith(".json") else "yaml"
        file = f"file.{kind}"  # a name of somebody else's is no argument
        with folder_of({file: content}) as folder:
            ended = child.run(
                [program, "decrypt", "--input-type", kind, "--output-type", kind, str(folder / file)],
                folder=folder,
                environ=_environ(),
                limits=_LIMITS,
                stopped=self.stopped,
                alone=kinds <= encrypted.LOCAL,
            )
        if ended.code:
            message, hint = _why(ended.errors, documents)
            raise _refused(path, line, message, hint)
        return ended.output


def _check_keys(path: str, documents: Sequence[yaml.Document]) -> None:
    """Refuse keys of stores that the file chooses, and documents that are not encrypted beside others."""
    problems = []
    for document in documents:
        if not encrypted.is_encrypted(document.value):
            message = "it is not encrypted, and another document of its file is"
            problems.append(_problem(path, document.origin.line, message, "encrypt the whole file anew"))
            continue
        kinds = set(encrypted.keys(document.value)) - encrypted.LOCAL - encrypted.CLOUD
        if kinds:
            message = f"its key is in a store whose address is in the file ({', '.join(sorted(kinds))})"
            problems.append(_problem(path, _line(document), message, "encrypt it for age or KMS"))
    if problems:
        raise InvalidError(f"read {path}: {problems[0]}", problems=problems)


def _why(told: str, documents: Sequence[yaml.Document]) -> tuple[str, str]:
    """(why SOPS failed, what to do), in words of ours: its own run over dozens of lines."""
    if "MAC mismatch" in told:
        return "it was changed after it was encrypted", "edit it with sops, and commit that"
    if "data key" in told or "no identity matched" in told or "identit" in told:
        names = [name for names in encrypted.keys(documents[0].value).values() for name in names]
        shown = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        return f"it is encrypted, and there is no key for it (of {shown})", _NO_KEY
    first = next((" ".join(line.split()) for line in told.splitlines() if line.strip()), "no reason given")
    return f"sops: {first[:200]}", "try `sops decrypt` yourself"


def _environ() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key.startswith(_KEPT)}
    age = Path(kept.get("HOME", "/")) / ".config/sops/age/keys.txt"
    if age.is_file():
        kept.setdefault("SOPS_AGE_KEY_FILE", str(age))
    return kept


def _line(document: yaml.Document) -> int:
    return document.lines.get(("sops",), document.origin.line)


def _refused(path: str, line: int, message: str, hint: str) -> InvalidError:
    problem = _problem(path, line, message, hint)
    return InvalidError(f"read {path}: {problem}", problems=[problem])


def _problem(path: str, line: int, message: str, hint: str) -> Problem:
    name = PurePosixPath(path).name
    return Problem(code="encrypted", message=f"{name}: {message}", origin=Origin(path, line), hint=hint)
