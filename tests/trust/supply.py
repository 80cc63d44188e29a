#!/usr/bin/env python3
"""What s3 is built on, and whether its packages can be built again to the same bytes.

    tests/trust/supply.py            both checks; prints what trust.py reads
    tests/trust/supply.py --list     packaging/dependencies.toml alone, without building anything

The list must name what the scripts install, and the installed packages must have the versions and the
licences that it states. The Debian package and the source archive are built twice, at another time and
place, in another locale and time zone.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = tomllib.loads((ROOT / "packaging/dependencies.toml").read_text())["dependency"]
SCRIPTS = ["packaging/setup.sh", "examples/claims/run.sh", "examples/language_model/run.sh",
           "examples/web/run.sh", "tests/matrix.sh", "benchmarks/run.sh", "benchmarks/networks.sh"]
# Compilers and emulators for other machines, and interpreters of the system: their versions are
# whatever the machine has.
UNLISTED = re.compile(r"g\+\+(-.*)?|gcc-.*|.*-newlib|qemu-.*|binutils|pkg-config|nodejs|npm|python3-(pip|setuptools|wheel|venv)")


# What the program in the package runs, which otherwise compiles for a quarter of an hour.
FEW_NETWORKS = {"S3_NETWORK_SETS": "baseline", "S3_NETWORK_FORMATS": "shift3;int8_weights"}


def numbers(version):
    return [int(n) for n in re.findall(r"\d+", version)]


def asked_for():
    """Packages that the scripts name for packaging/setup.sh."""
    for script in SCRIPTS:
        text = (ROOT / script).read_text().replace("\\\n", " ")
        arrays = re.findall(r"^ *packages\+?=\(\n(.*?)^ *\)", text, re.M | re.S)
        calls = re.findall(r"packaging/setup\.sh +([^|&\n]*)", text)
        for line in [*"".join(arrays).split("\n"), *calls]:
            for word in line.split("#")[0].split():
                if re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", word):
                    yield script, word


def check_list():
    problems, listed = [], {d["package"] for d in LIST}
    for script, package in asked_for():
        if package not in listed and not UNLISTED.fullmatch(package):
            problems.append(f"{script} installs {package}, which packaging/dependencies.toml lacks")
    seen = 0
    for d in LIST:
        if numbers(d["least"]) > numbers(d["tested"]):
            problems.append(f"{d['name']}: {d['tested']} was tested, less than {d['least']}")
        shown = subprocess.run(["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}",
                                d["package"]], capture_output=True, text=True)
        if shown.returncode or not shown.stdout.startswith("installed "):
            continue
        seen += 1
        version = shown.stdout.split()[1].split(":")[-1]
        if numbers(version)[:len(numbers(d["least"]))] < numbers(d["least"]):
            problems.append(f"{d['name']}: {version} is installed, {d['least']} is needed")
        licence = pathlib.Path("/usr/share/doc", d["package"], "copyright")
        if licence.exists() and d["licence"].lower() not in licence.read_text(errors="replace").lower():
            problems.append(f"{d['name']}: {licence} does not name {d['licence']}")
    if not seen and pathlib.Path("/usr/bin/dpkg-query").exists():
        problems.append("no package of the list is installed")
    return problems, f"{len(LIST)} dependencies, {seen} of them installed"


def digest(paths):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def build(folder, environment):
    """The Debian package and the archive of the last commit, built in a folder: {name: SHA-256}."""
    folder.mkdir(parents=True)
    archive = folder / "s3.tar.gz"
    environment = os.environ | environment
    subprocess.run(["git", "-C", ROOT, "archive", "--prefix=s3/", "--output", archive, "HEAD"],
                   check=True, env=environment)
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    subprocess.run(["cp", "-r", folder / "s3/packaging/debian", folder / "s3/debian"], check=True)
    subprocess.run(["dpkg-buildpackage", "-b", "-us", "-uc"], cwd=folder / "s3", check=True,
                   env=environment | {"DEB_BUILD_OPTIONS": "nocheck"} | FEW_NETWORKS,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return digest([archive, *folder.glob("*.deb")])


def check_builds():
    try:
        with tempfile.TemporaryDirectory() as folder:
            here = pathlib.Path(folder)
            first = build(here / "a", {"TZ": "UTC", "LC_ALL": "C.UTF-8"})
            second = build(here / "elsewhere/b", {"TZ": "Asia/Kathmandu", "LC_ALL": "C"})
    except (OSError, subprocess.CalledProcessError) as error:
        return [f"a package could not be built: {error}"], "nothing built"
    return [f"{name} differs between two builds" for name in first if first[name] != second.get(name)
            ], ", ".join(f"{name} {value[:12]}" for name, value in first.items())


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    failures = 0
    for name, check in [("list", check_list), ("reproducible", check_builds)][:1 if "--list" in sys.argv else 2]:
        problems, said = check()
        print(f"{name}: {said}")
        for problem in problems:
            print(f"supply.py: {problem}", file=sys.stderr)
        print(f"figure supply {name} {int(not problems)} {len(problems)}")
        failures += len(problems)
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
