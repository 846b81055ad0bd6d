"""Text from outside, made harmless: it may be read, but can act on no terminal and no CI runner.

Object names, messages of the API server, container logs and paths are written by others. Shown
raw, they could move the cursor, set a title or the clipboard, reorder what is read, or be taken
for a command of the GitHub runner.
"""

from __future__ import annotations

import re

from .redaction import scrub

_ACTIVE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # invisible
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"  # bidi, separators
    "\ud800-\udfff"  # lone surrogates: no encoder takes them
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # tags: text that no one sees
    "]"
)
"""All of Unicode's Cc, Cf, Cs, Zl and Zp, and the fillers that show nothing."""

# .NET compares by culture, in which characters without weight do not count; therefore anything that
# is not plain ASCII may stand between those of a command. `##name[` covers other CI systems.
_UNSEEN = "[^\x20-\x7e]*"
_BLANK = "[^\x21-\x7e]*"
_HASH_COMMAND = re.compile(rf"#(?={_UNSEEN}#{_UNSEEN}[A-Za-z]*{_UNSEEN}\[)")
_COLON_COMMAND = re.compile(rf"^({_BLANK}:)(?={_UNSEEN}:)")
_MARKUP = re.compile(
    r"[&<>`*~\[\]|\\#@$]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word an underscore is only an underscore
    r"|:(?=//|[\w+-]+:)"  # URLs, and names of emoji
    r"|(?<=www)\.",
    re.IGNORECASE,
)
CLIPPED = " … ("
"""What stands where a text was cut short."""
_TAB = "    "
LIMIT = 2000
"""Characters of one message that are shown; a webhook may answer with a megabyte. A gut feeling."""


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code == 0x0A:
        return "\\n"
    if code == 0x0D:
        return "\\r"
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def escape(text: str) -> str:
    """``text`` with everything that acts or hides written out: ``\\x1b``, ``\\u202e``; tabs as blanks."""
    return _ACTIVE.sub(_visible, text.replace("\t", _TAB))


def one_line(text: object, limit: int = LIMIT) -> str:
    """Any value as one harmless line, credentials taken out.

    Line ends become a blank; what exceeds ``limit`` characters is counted.
    """
    plain = clip(scrub(str(text)), limit)
    if "\n" in plain or "\r" in plain:
        plain = " ".join(part.strip() for part in re.split(r"[\r\n]+", plain) if part.strip())
    return escape(plain.strip(" "))


def clip(text: str, limit: int) -> str:
    """The first ``limit`` characters, and how many more there were."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}{CLIPPED}{len(text) - limit} more characters)"


def entities(text: str) -> str:
    """``text`` so that it begins neither markup of markdown or HTML nor an automatic link.

    Not for the beginning of a line, where markdown knows lists and headings. Common punctuation
    stays as it is, so that the source can be read too.
    """
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", text)


def defuse(line: str) -> str:
    """A whole line that no CI runner takes for a command; all else stays.

    The GitHub runner (ActionCommand.cs) reads ``::name::`` after leading blanks and ``##[name]``
    anywhere in a line. A blank between the two characters ends that, and people still read it.
    """
    return _COLON_COMMAND.sub(r"\1 ", _HASH_COMMAND.sub("# ", line))


def defuse_json(text: str) -> str:
    """JSON of equal meaning that holds no ``##[``: a ``#`` in a JSON text only stands in a string."""
    return _HASH_COMMAND.sub(lambda _: "\\u0023", text)
