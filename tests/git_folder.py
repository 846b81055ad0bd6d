"""A small git repository for a test: files in, commits out."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path


class GitFolder:
    """A repository in ``folder``, made here. Texts may be indented; None removes a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q")

    def git(self, *arguments: str) -> str:
        config = ("-c", "user.name=A B", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
        command = ["git", *config, *arguments]
        done = subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, str | None] | None = None, links: dict[str, str] | None = None) -> str:
        """Write files and symbolic links, commit them; the full object id."""
        for path, text in (files or {}).items():
            target = self.folder / path
            if text is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text).lstrip("\n"))
        for path, to in (links or {}).items():
            link = self.folder / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(to)
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "--message", "change")
        return self.git("rev-parse", "HEAD")
