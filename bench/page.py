"""Puts a section into a page.

    page.py SECTION_MD PAGE_MD     in the place of the one with the same heading, or at the end
"""

import pathlib
import re
import sys


def main():
    text, page = pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2])
    heading = text.splitlines()[0]
    before, *after = re.split(rf"^{re.escape(heading)}$", page.read_text(), maxsplit=1, flags=re.MULTILINE)
    following = re.search(r"^## .*", after[0], re.MULTILINE | re.DOTALL) if after else None
    page.write_text(f"{before.rstrip()}\n\n{text.rstrip()}\n" + (f"\n{following[0]}" if following else ""))


if __name__ == "__main__":
    main()
