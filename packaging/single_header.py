#!/usr/bin/env python3
"""Writes the library as a single header, for programs that take no folder of them.

    packaging/single_header.py [--include HEADER]... OUT

HEADER is one as a program includes it and may be given several times (default: s3/shift.hpp). Each of
the library's headers that it needs is put where it is first included, once. Headers of other
libraries, xsimd above all, are included still.
"""

import argparse
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r"\s*#\s*include\s*<(s3/[^>]+)>")


def text_of(header, seen):
    """The header's lines with those of the headers that it includes, which join `seen`."""
    seen.add(header)
    lines = [f"// ---- {header}"]
    for line in (ROOT / "include" / header).read_text(encoding="utf-8").splitlines():
        included = INCLUDE.match(line)
        if included:
            if included.group(1) not in seen:
                lines += text_of(included.group(1), seen)
        elif line.strip() != "#pragma once":
            lines.append(line)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--include", action="append", metavar="HEADER")
    parser.add_argument("out", metavar="OUT", type=pathlib.Path)
    chosen = parser.parse_args()
    headers = chosen.include or ["s3/shift.hpp"]
    for header in headers:
        if not (ROOT / "include" / header).is_file():
            parser.error(f"there is no header {header} in {ROOT / 'include'}")
    version = re.findall(r"#define S3_VERSION_[A-Z]+ (\d+)",
                         (ROOT / "include/s3/version.hpp").read_text(encoding="utf-8"))
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines()
    seen = set()
    lines = ["#pragma once", f"// s3 {'.'.join(version)} in a single header: {', '.join(headers)}",
             "//"] + [f"// {line}".rstrip() for line in licence]
    for header in headers:
        if header not in seen:
            lines += text_of(header, seen)
    chosen.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{chosen.out}: {len(seen)} headers, {len(lines)} lines")


if __name__ == "__main__":
    main()
