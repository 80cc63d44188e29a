#!/usr/bin/env python3
"""Feeds damaged and invented files to the readers, under the address and undefined-behaviour sanitizers.

    tests/fuzz/run.py [--seconds 60 | --runs N] [--engine libfuzzer|afl] [name…]

Names are those of the harnesses in this folder, and "changes": every truncation and every change of one
byte of the sample models. All by default. Each starts from the corpus committed here and keeps what it
learns in build/fuzz/corpus/. Prints "figure files NAME INPUTS FAILURES" (see tests/trust); a failure is a
crash, a report, an input that takes 10 seconds, or memory beyond the harness's limit. Its input is kept in
build/fuzz/. The exit status is the number of names with failures.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/fuzz"
BUILD = ROOT / "build/fuzz"
HARNESSES = ["safetensors", "gguf", "model_file", "description", "record", "images", "labels", "state_dict"]
FLAGS = ["-std=c++20", "-O2", "-g1", "-Iinclude"]
SANITIZERS = "address,undefined"


def call(*command, **options):
    return subprocess.run([str(c) for c in command], cwd=ROOT, check=True, **options)


def build(harness, driver, engine="libfuzzer"):
    """The program of a harness, driven by "fuzzer" or by "changes"."""
    program = BUILD / f"{engine}_{harness}_{driver}"
    if engine == "afl":
        environment = {**os.environ, "AFL_USE_ASAN": "1", "AFL_USE_UBSAN": "1", "AFL_QUIET": "1"}
        call("afl-clang-fast++", *FLAGS, "-fsanitize=fuzzer", HERE / f"{harness}.cpp", "-lz", "-o",
             program, env=environment)
        return program
    compiler = os.environ.get("FUZZ_CXX", "clang++-14")
    checks = [f"-fsanitize={SANITIZERS}", "-fno-sanitize-recover=all"]
    sources = [HERE / f"{harness}.cpp"]
    if driver == "fuzzer":
        checks.append("-fsanitize=fuzzer")
    else:
        sources.append(HERE / "changes.cpp")
    call(compiler, *FLAGS, *checks, *sources, "-lz", "-o", program)
    return program


def number(pattern, text):
    found = re.search(pattern, text)
    return int(found.group(1)) if found else 0


def run_libfuzzer(name, options):
    kept = BUILD / "corpus" / name
    kept.mkdir(parents=True, exist_ok=True)
    limit = f"-runs={options.runs}" if options.runs else f"-max_total_time={options.seconds}"
    done = subprocess.run([build(name, "fuzzer"), kept, HERE / "corpus" / name, limit, "-timeout=10",
                           "-rss_limit_mb=2048", "-max_len=8192", "-print_final_stats=1",
                           f"-artifact_prefix={BUILD}/{name}-"], capture_output=True, text=True,
                          errors="replace")
    if done.returncode != 0:
        print(done.stderr[-4000:])
    return number(r"number_of_executed_units: (\d+)", done.stderr), int(done.returncode != 0)


def run_afl(name, options):
    results = BUILD / "afl" / name
    results.parent.mkdir(exist_ok=True)
    environment = {**os.environ, "AFL_NO_UI": "1", "AFL_SKIP_CPUFREQ": "1", "AFL_NO_AFFINITY": "1",
                   "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1", "AFL_AUTORESUME": "1"}
    limit = ["-E", options.runs] if options.runs else ["-V", options.seconds]
    command = ["afl-fuzz", "-i", HERE / "corpus" / name, "-o", results, "-m", "none", "-t", "10000",
               *limit, "--", build(name, "fuzzer", "afl")]
    done = subprocess.run([str(c) for c in command], env=environment, capture_output=True, text=True,
                          errors="replace")
    stats = results / "default/fuzzer_stats"
    if done.returncode != 0 or not stats.exists():
        print(done.stdout[-4000:], done.stderr[-1000:])
        return 0, 1
    text = stats.read_text()
    return (number(r"execs_done +: (\d+)", text),
            number(r"saved_crashes +: (\d+)", text) + number(r"saved_hangs +: (\d+)", text))


def run_changes():
    files = sorted((HERE / "corpus/model_file").iterdir())
    done = subprocess.run([build("model_file", "changes"), *files], capture_output=True, text=True,
                          errors="replace")
    if done.returncode != 0:
        print(done.stderr[-4000:])
    return number(r"inputs: (\d+)", done.stdout), int(done.returncode != 0)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("names", nargs="*", default=[*HARNESSES, "changes"], metavar="name")
    arguments.add_argument("--seconds", type=int, default=60, help="for each harness")
    arguments.add_argument("--runs", type=int, help="for each harness, instead of seconds")
    arguments.add_argument("--engine", choices=["libfuzzer", "afl"], default="libfuzzer")
    options = arguments.parse_args()
    for name in options.names:
        if name not in [*HARNESSES, "changes"]:
            arguments.error(f"there is no harness {name}; there are {', '.join(HARNESSES)} and changes")
    call("packaging/setup.sh", "afl++" if options.engine == "afl" else "clang-14")
    BUILD.mkdir(parents=True, exist_ok=True)

    failed = 0
    for name in options.names:
        print(f"{name} …", flush=True)
        if name == "changes":
            inputs, failures = run_changes()
        else:
            inputs, failures = (run_afl if options.engine == "afl" else run_libfuzzer)(name, options)
        part = f"afl_{name}" if options.engine == "afl" and name != "changes" else name
        print(f"figure files {part} {inputs} {failures}", flush=True)
        failed += failures > 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
