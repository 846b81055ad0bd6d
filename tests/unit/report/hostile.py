"""Texts that try to act: on a terminal, on a CI runner, on a page."""

import unicodedata

TEXTS = [
    "::error::forged",
    "  ::add-mask::x",
    "\t::set-output name=a::b",
    "\u00a0::warning::x",
    "\u200b::debug::x",
    "x ##[add-mask]y",
    "##[group]x",
    "##[error]x",
    "##vso[task.setvariable variable=a]b",
    "#\u200b#[error]x",
    "#\u00ad#\u200d[error]x",
    "###[error]x",
    "#\ufe0f#\u0301[error]x",
    ":\ufe0f:error::x",
    "\u0301::error::x",
    "a\n::error::b",
    "a\r::error::b",
    "a\r\n##[error]b",
    "a\u2028::error::b",
    "a\x85::error::b",
    "%0A::set-output name=a::b",
    "\x1b[2J\x1b[H",
    "\x1b]0;title\x07",
    "\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;aGk=\x07",
    "\x9b31mred",
    "\u202egnp.exe",
    "\u2066isolated\u2069",
    "back\x08\x08\x08space\x00",
    "[red]markup[/red]",
    "[link=https://example.com]x[/link]",
    "<img src=x onerror=alert(1)>",
    "</pre></code></details><script>alert(1)</script>",
    "| a | b |\n|---|---|",
    "[x](javascript:alert(1))",
    "![x](https://example.com/x.png)",
    "`code` **bold** ~~gone~~ $\\sum$",
    "<!-- comment",
    "\ud800 lone surrogate",
    "\U000e0041 tags",
]

ACTIVE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def active(text: str, allowed: str = "\n") -> list[str]:
    """The characters of ``text`` that act or hide."""
    return [c for c in text if unicodedata.category(c) in ACTIVE and c not in allowed]
