"""Markdown that shows what others wrote and obeys none of it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from pipeline.core.escape import entities, escape, one_line
from pipeline.core.redaction import scrub

LIMIT_BYTES = 1_000_000
"""GitHub drops a step summary of more than 1 MiB as a whole; the rest is for its own additions."""


def plain(text: object) -> str:
    """Any value as text of one line that means nothing in markdown, HTML or a table cell."""
    return entities(one_line(text))


def code(text: object) -> str:
    """The same, set as code. Empty stays empty."""
    shown = plain(text)
    return f"<code>{shown}</code>" if shown else ""


def pre(lines: Iterable[str]) -> list[str]:
    """Lines as they are, set as code; no markdown is read between the tags."""
    return ["<pre>", *(html.escape(escape(scrub(line))) for line in lines), "</pre>"]


def link(text: object, url: str) -> str:
    """A link, where the URL is a plain http(s) one; else only its text."""
    try:
        parts = urlsplit(url)
        harmless = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
    except ValueError:
        harmless = False
    if not harmless or re.search(r"[^\x21-\x7e]|[\"'<>`\\]", url):
        return plain(text)
    return f'<a href="{html.escape(url)}">{plain(text)}</a>'


def origin_link(path: str, line: int, source_url: str) -> str:
    """``path:line``, linked where ``source_url`` names the tree it is in (``…/blob/<commit>``)."""
    shown = f"{path}:{line}"
    target = quote(path, errors="replace")  # git's paths need not be UTF-8
    return link(shown, f"{source_url}/{target}#L{line}") if source_url else code(shown)


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A table; cells are finished markdown of one line."""
    head = list(header)
    return [
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
        *(f"| {' | '.join(cell or ' ' for cell in row)} |" for row in rows),
        "",
    ]


def details(title: str, lines: Iterable[str]) -> list[str]:
    """A part that is folded away; ``title`` is finished markdown."""
    return ["", "<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def fit(lines: Iterable[str], limit_bytes: int = LIMIT_BYTES) -> str:
    """Whole lines up to ``limit_bytes`` bytes of UTF-8, with a note where some were left out."""
    every = list(lines)
    text = "\n".join(every) + "\n"
    if len(text.encode("utf-8", "replace")) <= limit_bytes:
        return text
    kept: list[str] = []
    room = limit_bytes - 200  # for the closing tags and the note
    for line in every:
        room -= len(line.encode("utf-8", "replace")) + 1
        if room < 0:
            break
        kept.append(line)
    left = len(every) - len(kept)
    closing = [
        f"</{tag}>"
        for tag in ("pre", "details")
        for _ in range(kept.count(f"<{tag}>") - kept.count(f"</{tag}>"))
    ]
    return "\n".join([*kept, *closing, "", f"… {left} more lines: see the JSON report.", ""])
