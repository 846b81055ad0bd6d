"""An index of charts is somebody else's text: it leads to the address of that very version, or is refused."""

from __future__ import annotations

from contextlib import suppress

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters import chart_index
from pipeline.model.errors import InvalidError

PIECES = [
    *("entries:\n", "  db:\n", "  - ", "    ", "version: 1.2.3\n", "urls: [a.tgz]\n", "name: db\n", "- x\n"),
    *(
        "{",
        "}",
        "[",
        "]",
        ": ",
        ", ",
        "&a ",
        "*a",
        "<<: *a",
        "? ",
        "---\n",
        "...\n",
        "'",
        "\t",
        "\x00",
        "db",
        "\n",
    ),
]
VERSIONS = st.sampled_from(["1.2.3", "v1.2.3", "1.2.4", "1.2.3-rc.1", "1.2"])
NAMES = st.sampled_from(["db", "web", "entries", "version"])
ENTRIES = st.fixed_dictionaries(
    {"version": VERSIONS},
    optional={
        "urls": st.lists(st.sampled_from(["a.tgz", "https://x/b.tgz"]), max_size=2),
        "dependencies": st.lists(st.fixed_dictionaries({"name": NAMES, "version": VERSIONS}), max_size=2),
        "annotations": st.dictionaries(NAMES, st.text(max_size=3), max_size=2),
    },
)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=60))
def test_any_text_has_an_address_or_is_refused(text: str) -> None:
    with suppress(InvalidError):
        assert chart_index.address(text.encode("utf-8", "surrogatepass"), "db", "1.2.3")


@given(st.dictionaries(NAMES, st.lists(ENTRIES, max_size=3)), st.booleans())
def test_it_is_the_first_address_of_the_version(
    entries: dict[str, list[dict[str, object]]], flow: bool
) -> None:
    text = yaml.safe_dump({"apiVersion": "v1", "entries": entries}, default_flow_style=flow)
    same = [entry for entry in entries.get("db", []) if str(entry["version"]).removeprefix("v") == "1.2.3"]
    urls = same[0].get("urls") if same else None
    wanted = urls[0] if isinstance(urls, list) and urls else None
    try:
        found = chart_index.address(text.encode(), "db", "1.2.3")
    except InvalidError:
        found = None
    assert found == wanted
