"""Files that SOPS encrypts for a key of age, as a user would."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import tools


@dataclass(frozen=True, slots=True)
class Encryption:
    """``program`` is SOPS, ``key_file`` holds the private key of ``recipient``."""

    program: str
    key_file: Path
    recipient: str

    @classmethod
    def make(cls, folder: Path) -> Encryption:
        """A new key in ``folder``."""
        key_file = folder / "keys.txt"
        subprocess.run([tools.path(tools.AGE_KEYGEN), "-o", str(key_file)], capture_output=True, check=True)
        lines = key_file.read_text().splitlines()
        recipient = next(line.rpartition(" ")[2] for line in lines if line.startswith("# public key"))
        return cls(tools.path(tools.SOPS), key_file, recipient)

    def encrypted(self, text: str, *options: str, kind: str = "yaml") -> bytes:
        """The text as SOPS writes it into a file."""
        command = [self.program, "encrypt", "--age", self.recipient, *options]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.key_file.parent)}
        done = subprocess.run(
            [*command, "--input-type", kind, "--output-type", kind, "/dev/stdin"],
            input=text.encode(),
            env=environ,
            capture_output=True,
            check=True,
        )
        return done.stdout

    def environ(self) -> dict[str, str]:
        """What a run needs to decrypt."""
        return {"PIPELINE_SOPS": self.program, "SOPS_AGE_KEY_FILE": str(self.key_file)}
