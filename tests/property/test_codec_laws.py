"""Release records as bytes: whatever goes in comes out."""

import base64
import dataclasses
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters import codec
from pipeline.model.objects import ObjectRef
from pipeline.model.release import InventoryEntry, Phase, Release

text = st.text(max_size=8)
json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(text, json_values, max_size=3)
segments = st.text(alphabet=st.characters(exclude_characters="/", exclude_categories=["C", "Z"]), max_size=6)
names = segments.filter(bool)
refs = st.builds(ObjectRef, segments, names, segments, names)
entries = st.builds(
    InventoryEntry,
    ref=refs,
    api_version=text,
    uid=text,
    generation=st.integers(0),
    resource_version=text,
    content=text,
    origin=text,
)
releases = st.builds(
    Release,
    application=text,
    environment=text,
    number=st.integers(1),
    id=text,
    revision=text,
    base=text,
    previous=st.none() | st.integers(1),
    phase=st.sampled_from(Phase),
    result=text,
    actor=text,
    identity=text,
    started=text,
    finished=text,
    seconds=st.floats(0, 1e6),
    command=text,
    plan_digest=text,
    message=text,
    inventory=st.lists(entries, max_size=3).map(tuple),
    before=st.lists(st.tuples(refs, st.none() | objects), max_size=3).map(tuple),
    rendered=st.lists(objects, max_size=3).map(tuple),
    plan=json_values,
    causes=st.lists(st.lists(text, max_size=3), max_size=2).map(tuple),
    checks=st.lists(st.lists(text, max_size=3), max_size=2).map(tuple),
    verdicts=st.none() | objects,
    charts=st.none() | st.lists(text, max_size=3).map(tuple),
)


def _through(release: Release, shard_bytes: int) -> Release:
    """Written and read as records are, in shards of the given size."""
    documents = {part: codec.body_document(release, part) for part in codec.BODY_FIELDS}
    shards = {part: codec.pack(document) for part, document in documents.items() if document is not None}
    values, named = codec.parse_head(codec.head_document(release, {p: [p] for p in shards}))
    assert named == {p: [p] for p in shards}
    for part, pieces in shards.items():
        raw = b"".join(base64.b64decode(piece) for piece in pieces)
        cut = [raw[i : i + shard_bytes] for i in range(0, len(raw), shard_bytes)]
        values |= codec.parse_body(part, codec.unpack([base64.b64encode(c).decode() for c in cut]))
    return Release(**values)


@given(releases, st.integers(1, 200))
def test_every_release_is_read_as_it_was_written_however_it_is_cut(
    release: Release, shard_bytes: int
) -> None:
    assert _through(release, shard_bytes) == release


def test_no_field_of_a_release_is_forgotten() -> None:
    strange: dict[str, Any] = {
        "phase": Phase.FAILED,
        "previous": 4,
        "number": 5,
        "seconds": 1.5,
        "inventory": (InventoryEntry(ref=ObjectRef("", "A", "", "b"), **_strings(InventoryEntry)),),
        "before": ((ObjectRef("", "A", "", "b"), None),),
        "rendered": ({"a": 1},),
        "plan": {"a": 1},
        "causes": (["a"],),
        "checks": (["b"],),
        "verdicts": {"c": 1},
        "charts": ("d",),
    }
    release = Release(**{f.name: strange.get(f.name, f"a {f.name}") for f in dataclasses.fields(Release)})

    assert _through(release, 50) == release


@given(json_values)
def test_equal_content_makes_equal_shards(value: Any) -> None:
    assert codec.pack(value) == codec.pack(json.loads(json.dumps(value)))


def test_a_shard_fits_into_a_secret_with_its_metadata() -> None:
    assert len(base64.b64encode(bytes(codec.SHARD_BYTES))) < 1024 * 1024 - 64 * 1024


def _strings(kind: type) -> dict[str, Any]:
    fields = (f for f in dataclasses.fields(kind) if f.name != "ref")
    return {f.name: 3 if f.type == "int" else f"a {f.name}" for f in fields}
