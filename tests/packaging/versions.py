#!/usr/bin/env python3
"""Whatever states a version states that of include/s3/version.hpp, and so does the tag of a release.

    tests/packaging/versions.py [FOLDER]     FOLDER: the sources, by default this tree
"""

import json
import re
import subprocess
import sys
from pathlib import Path


def first(pattern, text):
    found = re.search(pattern, text, re.M)
    return found.group(1) if found else None


def versions(root):
    """{where: version}"""
    def read(name):
        return (root / name).read_text()

    header = re.findall(r"^#define S3_VERSION_[A-Z]+ (\d+)$", read("include/s3/version.hpp"), re.M)
    found = {
        "include/s3/version.hpp": ".".join(header),
        ".github/CHANGELOG.md": first(r"^## (\d+\.\d+\.\d+)", read(".github/CHANGELOG.md")),
        "packaging/debian/changelog": first(r"^s3-shift \((.*?)\)", read("packaging/debian/changelog")),
        "packaging/vcpkg/vcpkg.json": json.loads(read("packaging/vcpkg/vcpkg.json"))["version"],
    }
    tags = subprocess.run(["git", "-C", root, "tag", "--points-at", "HEAD"], capture_output=True,
                          text=True).stdout.split() if (root / ".git").exists() else []
    found.update((f"git tag {tag}", tag[1:]) for tag in tags if re.fullmatch(r"v\d.*", tag))
    return found


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    found = versions(root)
    table = "\n".join(f"{version}  {where}" for where, version in found.items())
    if len(set(found.values())) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", min(map(str, found.values()))):
        sys.exit(f"versions differ:\n{table}")
    print(table)


if __name__ == "__main__":
    main()
