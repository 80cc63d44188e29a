#!/usr/bin/env python3
"""Every script answers --help before anything is installed or built: with a shell, a few commands of
every system, and a Python without further packages.

    tests/packaging/help.py
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["bash", "sed", "dirname", "cat"]


def scripts():
    for path in [*ROOT.rglob("*.sh"), *ROOT.rglob("*.py")]:
        parts = path.relative_to(ROOT).parts
        if parts[0] not in ("build", ".git") and path.read_bytes()[:2] == b"#!":
            yield path


def answer(path, environment):
    """What is wrong with the script's answer, or nothing."""
    first = path.read_text().splitlines()[0]
    command = ["python3" if "python" in first else "bash", path, "--help"]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)
    if done.returncode == 0 and len(done.stdout) > 40 and not done.stderr:
        return None
    return f"{path.relative_to(ROOT)} --help: exit code {done.returncode}: {done.stdout}{done.stderr}"


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in COMMANDS:
            os.symlink(shutil.which(name), Path(folder, name))
        bare = Path(folder, "python3")
        bare.write_text(f'#!{shutil.which("sh")}\nexec {sys.executable} -E -s -S -B "$@"\n')
        bare.chmod(0o755)
        found = sorted(scripts())
        with concurrent.futures.ThreadPoolExecutor() as pool:
            wrong = [w for w in pool.map(lambda p: answer(p, {"PATH": folder}), found) if w]
    if len(found) < 20:
        wrong.append(f"only {len(found)} scripts were found")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(found)} scripts answer --help")


if __name__ == "__main__":
    main()
