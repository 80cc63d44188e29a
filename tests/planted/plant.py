#!/usr/bin/env python3
"""Plants mistakes in copies of the library and runs the tests that should notice them.

    tests/planted/plant.py [--jobs N] [--list] [part of a name…]

The mistakes are in bugs.toml, each with its test. The test must pass without the mistake, and with it
fail, or not compile because of a static assertion or a constraint; any other error of the compiler
proves nothing. When all were planted, it prints the figure that tests/trust reads. The exit status is
the number of mistakes that were not found.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILER = os.environ.get("CXX", "g++")
SECONDS = 300  # for a test: one that hangs has noticed
PROOFS = ["static assertion failed", "static_assert", "constraint"]  # found by the compiler


def source_of(test):
    return ROOT / "tests" / (test + ".cpp")


def runs_networks(test):
    return "<s3/runtime/program.hpp>" in source_of(test).read_text()


def compile_networks(folder):
    """The objects of s3::runtime, without mistakes, for tests that run networks."""
    sources = [ROOT / f"include/s3/runtime/compiled/{name}.cpp"
               for name in ("runtime", "program", "linear_layer")]
    subprocess.run([COMPILER, "-std=c++20", "-O1", "-w", f"-I{ROOT}/include", "-c", *sources,
                    "-DS3_RUNTIME_FORMATS=s3::shift2,s3::shift3,s3::shift5,s3::int8_weights",
                    "-DS3_RUNTIME_ACTIVATIONS=", "-DS3_DISPATCH_ISAS=s3::isa::baseline"],
                   cwd=folder, check=True)
    return [folder / f"{source.stem}.o" for source in sources]


def compile_test(tree, bug, objects):
    """The program of the bug's test, built from the headers in `tree`, or None and the messages."""
    program = tree / "test"
    command = [COMPILER, "-std=c++20", "-O1", "-w", f"-I{tree}/include"]
    command += bug.get("flags", "-march=native").split()
    command += [f"-D{macro}" for macro in bug.get("define", [])]
    command += [source_of(bug["test"]), *objects["main"], "-o", program, "-pthread"]
    if runs_networks(bug["test"]):  # behind the test, whose functions with a mistake are then taken
        command += objects["networks"]
    built = subprocess.run(command, capture_output=True, text=True)
    return (program, "") if built.returncode == 0 else (None, built.stderr)


def passes(program):
    try:
        return subprocess.run([program, "--abort-after=1"], capture_output=True, timeout=SECONDS,
                              cwd=program.parent).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def plant(bug, objects):
    """What became of a bug: "found", or why not."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        shutil.copytree(ROOT / "include", tree / "include")
        header = tree / "include/s3" / bug["file"]
        text = header.read_text()
        if text.count(bug["find"]) != 1:
            return f"its text occurs {text.count(bug['find'])} times in {bug['file']}"
        header.write_text(text.replace(bug["find"], bug["put"]))
        program, messages = compile_test(tree, bug, objects)
        if program is None:
            errors = [line for line in messages.splitlines() if "error" in line]
            if errors and any(proof in errors[0] for proof in PROOFS):
                return "found"
            return "it does not compile: " + (errors[0] if errors else messages[:200])
        return "the test passes" if passes(program) else "found"


def check_unchanged(bug, objects):
    """Whether the bug's test passes without it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        (tree / "include").symlink_to(ROOT / "include")
        program, _ = compile_test(tree, bug, objects)
        return program is not None and passes(program)


def build_of(bug):
    return (bug["test"], bug.get("flags", ""), tuple(bug.get("define", [])))


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("names", nargs="*", help="parts of names; all by default")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments.add_argument("--list", action="store_true", help="names and tests, and nothing else")
    options = arguments.parse_args()

    bugs = tomllib.loads((ROOT / "tests/planted/bugs.toml").read_text())["bug"]
    chosen = [b for b in bugs if not options.names or any(n in b["name"] for n in options.names)]
    if options.list:
        for bug in chosen:
            print(f"{bug['test']:24} {bug['name']}")
        return 0

    start, done = time.monotonic(), 0
    found, broken = [], set()  # bugs, and builds whose test fails without any of them
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        folder = pathlib.Path(folder)
        subprocess.run([COMPILER, "-std=c++20", "-O1", "-c", ROOT / "tests/main.cpp"], cwd=folder,
                       check=True)
        objects = {"main": [folder / "main.o"]}
        if any(runs_networks(b["test"]) for b in chosen):
            objects["networks"] = compile_networks(folder)
        builds = {build_of(b): b for b in chosen}
        work = {pool.submit(check_unchanged, b, objects): ("unchanged", b)
                for b in builds.values()}
        work |= {pool.submit(plant, b, objects): ("bug", b) for b in chosen}
        for future in concurrent.futures.as_completed(work):
            kind, bug = work[future]
            done += 1
            left = (time.monotonic() - start) / done * (len(work) - done)
            outcome = future.result()
            if kind == "unchanged" and outcome:
                continue
            if kind == "unchanged":
                broken.add(build_of(bug))
                line = f"{bug['test']} FAILS without any mistake, and so finds none"
            elif outcome == "found":
                found.append(bug)
                line = f"{bug['name']}: found"
            else:
                line = f"{bug['name']}: NOT FOUND by {bug['test']}: {outcome}"
            print(f"{done:3}/{len(work)}  {left / 60:3.0f} min left  {line}", flush=True)
    count = sum(build_of(bug) not in broken for bug in found)
    print(f"{count} of {len(chosen)} mistakes were found")
    if len(chosen) == len(bugs):
        print(f"figure planted all {count} {len(bugs) - count}")
    return len(chosen) - count


if __name__ == "__main__":
    sys.exit(main())
