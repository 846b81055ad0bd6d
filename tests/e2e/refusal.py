"""What every refusal keeps: its code, one clear line, a hint, no traceback, and not a write."""

from __future__ import annotations

from collections.abc import Mapping

from tests.e2e.workspace import Result, Workspace

DEPLOY = ("deploy", "-e", "dev")


def refused(
    repo: Workspace,
    code: int,
    *says: str,
    args: tuple[str, ...] = DEPLOY,
    env: Mapping[str, str] | None = None,
) -> Result:
    """Run, and hold that it is refused with ``code``, says all that it must, and writes nothing."""
    before = repo.state()
    result = repo.run(*args, env=env)
    print(result)
    assert result.code == code
    assert "Traceback" not in result.output
    assert "bug of pipeline" not in result.output
    missing = [text for text in says if text not in result.output]
    assert not missing, f"not said: {missing}\n{result}"
    assert repo.state() == before
    return result


def at(environment_file: str, line: int) -> str:
    """A place in dev's manifests, as it is shown."""
    return f"environments/dev/manifests/{environment_file}:{line}"
