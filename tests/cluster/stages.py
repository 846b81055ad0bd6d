"""Put together kwok's configuration from ``stages/``.

kwok's stages cannot share text, and a pod's status is the same in most. A line
``@include NAME`` in a stage stands for the file of that name, indented as the line is.
"""

import re
from pathlib import Path

STAGES = Path(__file__).parent / "stages"


def configuration(kubernetes: str) -> str:
    """Return all stages as one YAML stream; the nodes tell this version of Kubernetes."""
    texts = (_with_includes(path.read_text()) for path in sorted(STAGES.glob("*.yaml")))
    return "---\n".join(texts).replace("KUBERNETES_VERSION", f"v{kubernetes}")


def _with_includes(text: str) -> str:
    def included(line: re.Match[str]) -> str:
        indent, name = line.groups()
        part = _with_includes((STAGES / name).read_text())
        return "".join(f"{indent}{row}" if row.strip() else row for row in part.splitlines(keepends=True))

    return re.sub(r"^( *)@include (\S+)\n", included, text, flags=re.MULTILINE)
