"""Fails if a link in a Markdown file of this repository leads nowhere.

Checks relative links and their anchors, and that each anchor is the heading of its target as GitHub
spells it. Links to other sites are not followed. Checks itself first.
"""

import os
import re
import subprocess
import sys

LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^()\s>]+(?:\([^()\s]*\)[^()\s>]*)*)>?[^)]*\)")
REFERENCE = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)", re.M)
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?^ {0,3}\1[`~]*\s*$", re.M | re.S)
CODE = re.compile(r"(`+)(?:(?!`).|(?<!`)`(?!`))*?\1", re.S)


def without_fences(text):
    return FENCE.sub("", text)


def links(text):
    """The targets of all links, code left out."""
    # A link inside code is not a link.
    prose = CODE.sub(lambda span: "`" * len(span.group()), without_fences(text))
    return LINK.findall(prose) + REFERENCE.findall(prose)


def anchors(text):
    """The anchors of all headings, as GitHub makes them."""
    found = set()
    for title in re.findall(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$", without_fences(text), re.M):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        unique, count = slug, 0
        while unique in found:
            count += 1
            unique = f"{slug}-{count}"
        found.add(unique)
    return found


def faults(files, read):
    """What is wrong with the links of `files`; `read` returns a file's text, None if there is none."""
    for name in files:
        for target in links(read(name)):
            if re.match(r"[a-z][a-z0-9+.-]*:", target, re.I):
                continue
            path, _, anchor = target.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
            text = read(path)
            if text is None:
                yield f"{name}: {target}: there is no file {path}"
            elif anchor and path.endswith(".md") and anchor not in anchors(text):
                yield f"{name}: {target}: {path} has no heading #{anchor}"


def read_file(path):
    if os.path.isdir(path):
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def self_test():
    texts = {
        "a.md": "# A `b` title\n[ok](docs/c.md#get-x) [`code`](docs/c.md) [me](#a-b-title)\n"
        "`[no](link.md)`\n```\n[no](link.md)\n# no-heading\n```\n<http://x> [x](https://x/#y)\n",
        "docs/c.md": "## `GET /x`\n## Twice\n## Twice\n[up](../a.md#a-b-title) [t](#twice-1)\n",
    }
    assert list(faults(texts, texts.get)) == [], list(faults(texts, texts.get))
    for bad in ["[x](none.md)", "[x](#none)", "[x](docs/c.md#none)", "[x](#no-heading)", "[y]: z.md"]:
        broken = dict(texts, **{"a.md": texts["a.md"] + bad})
        assert len(list(faults(broken, broken.get))) == 1, bad


self_test()
listed = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    check=True, capture_output=True, text=True,
)
files = listed.stdout.split()
assert "README.md" in files, "run this in the root of the repository"
wrong = list(faults(files, read_file))
print("\n".join(wrong) or f"all links of {len(files)} files lead somewhere")
sys.exit(bool(wrong))
