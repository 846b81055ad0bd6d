"""Put kwok's stages together from ``stages/``.

kwok's stages cannot share text, and a pod's status is the same in most. A line
``@include NAME`` in a stage stands for the file of that name, indented as the line is.
"""

import re
from pathlib import Path

STAGES = Path(__file__).parent / "stages"


def write(folder: Path, kubernetes: str) -> list[Path]:
    """Write each stage to a file of its own; the nodes tell this version of Kubernetes.

    kwok 0.8.0 silently loses some documents of a longer YAML stream.
    """
    folder.mkdir()
    written = []
    for source in sorted(STAGES.glob("*.yaml")):
        for number, stage in enumerate(source.read_text().split("\n---\n")):
            path = folder / f"{source.stem}-{number}.yaml"
            path.write_text(_with_includes(stage + "\n").replace("KUBERNETES_VERSION", f"v{kubernetes}"))
            written.append(path)
    return written


def _with_includes(text: str) -> str:
    def included(line: re.Match[str]) -> str:
        indent, name = line.groups()
        part = _with_includes((STAGES / name).read_text())
        return "".join(f"{indent}{row}" if row.strip() else row for row in part.splitlines(keepends=True))

    return re.sub(r"^( *)@include (\S+)\n", included, text, flags=re.MULTILINE)
