#!/usr/bin/env python3
"""Measures what the library promises, and reports it on one page.

    tests/trust/trust.py                       every promise, one command after the other
    tests/trust/trust.py files planted         these
    tests/trust/trust.py --merge FILE…         figures measured elsewhere: their trust.json
    tests/trust/trust.py --log FILE…           figures in the output of a command that was run by hand
    tests/trust/trust.py --page                only the page, of what was measured before

The promises and their commands are in promises.toml. A command prints "figure KEY PART VALUE FAILURES"
for each part that it measured; its output is also kept in build/report/trust/. Figures are kept in
build/report/trust.json until they are measured again, and shown in trust.html beside it. What was
measured before a release, each part at its own commit, is in figures.json, a copy of such a file. The
exit status is 1 if a promise that was asked for is not kept, or has no command.
"""

import argparse
import datetime
import fnmatch
import html
import json
import pathlib
import platform
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build/report"
KEPT = ROOT / "tests/trust/figures.json"
PROMISES = tomllib.loads((ROOT / "tests/trust/promises.toml").read_text())["promise"]


def commit():
    described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT,
                               capture_output=True, text=True)
    return described.stdout.strip() or "unknown"


def origin():
    return {"commit": commit(), "machine": platform.machine(),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}


def figure(line, measured, origin):
    """Adds the part that a line tells, if it does, to {key: {part: figure}}; returns its failures."""
    words = line.split()
    if len(words) != 5 or words[0] != "figure":
        return 0
    measured.setdefault(words[1], {})[words[2]] = {
        "value": float(words[3]) if "." in words[3] else int(words[3]), "failures": int(words[4]),
        **origin}
    return int(words[4])


def measure(command):
    """The parts that a command printed: {key: {part: figure}}, and whether it failed without saying
    in which part."""
    FOLDER.joinpath("trust").mkdir(parents=True, exist_ok=True)
    log = FOLDER / "trust" / ("".join(c if c.isalnum() else "_" for c in command).strip("_") + ".log")
    measured, failures, start = {}, 0, origin()
    with log.open("w") as copy:
        process = subprocess.Popen(command, shell=True, cwd=ROOT, text=True, errors="replace",
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for line in process.stdout:
            copy.write(line)
            print("   ", line, end="", flush=True)
            failures += figure(line, measured, start)
    return measured, process.wait() != 0 and failures == 0


def summary(promise, parts):
    """A promise's entry in trust.json, from its measured parts."""
    wanted, shown, met = promise["parts"], {}, True
    for pattern, target in wanted.items():
        fitting = {name: p for name, p in parts.items() if fnmatch.fnmatchcase(name, pattern)}
        value = sum(p["value"] for p in fitting.values())
        met = met and value >= target and not any(p["failures"] for p in fitting.values())
        shown |= fitting
    total = min if promise["unit"] == "%" else sum
    return {"value": total([p["value"] for p in shown.values()] or [0]),
            "target": total(wanted.values()), "met": bool(met), "unit": promise["unit"],
            "not_run": [w for w in wanted if not fnmatch.filter(shown, w)], "parts": shown}


def add(figures, measured):
    """Puts parts in the place of older ones of the same names."""
    for promise in PROMISES:
        key = promise["key"]
        parts = dict(figures.get(key, {}).get("parts", {}))
        for name, part in measured.get(key, {}).items():
            if part.get("date", "") >= parts.get(name, {}).get("date", ""):
                parts[name] = part
        figures[key] = summary(promise, parts)
    return figures


def cell(value):
    return html.escape(f"{value:,}" if isinstance(value, (int, float)) else str(value))


def page(figures):
    rows = []
    for promise in PROMISES:
        f = figures[promise["key"]]
        state = "met" if f["met"] else "open" if len(f["not_run"]) == len(promise["parts"]) else "missed"
        said = {"met": "met", "open": "not run", "missed": "NOT MET"}[state]
        parts = [f"{name}: {cell(p['value'])}" + (f", {p['failures']} FAILED" if p["failures"] else "")
                 + f" ({p.get('commit', '?')}, {p.get('machine', '?')}, {p.get('date', '?')[:10]})"
                 for name, p in sorted(f["parts"].items())]
        parts += [f"{name}: not run" for name in f["not_run"]]
        rows.append(f"<tr class={state}><td>{promise['key']}<td>{html.escape(promise['promise'])}"
                    f"<td>{cell(f['value'])}<td>{cell(f['target'])} {f['unit']}<td>{said}"
                    f"<td><code>{html.escape(promise.get('command', 'no test yet'))}</code>"
                    f"<details><summary>{len(f['parts'])} of {len(parts)} parts</summary>"
                    f"{'<br>'.join(map(html.escape, parts))}</details></tr>")
    kept = sum(f["met"] for f in figures.values())
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>s3: trust</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse }} td, th {{ padding: .4rem .8rem; text-align: left;
vertical-align: top; border-bottom: 1px solid #8884 }} td:nth-child(5) {{ font-weight: 600 }}
.met td:nth-child(5) {{ color: #2a8a3e }} .missed td:nth-child(5) {{ color: #c8322b }}
.open td:nth-child(5) {{ color: #a66a00 }}</style>
<h1>What s3 promises, and what shows it</h1>
<p>{kept} of {len(figures)} promises are shown to hold. A figure tells the commit, machine and date of
its last measurement; what was not run is said.</p>
<table><tr><th>key<th>promise<th>value<th>target<th><th>test</tr>
{chr(10).join(rows)}
</table></html>
"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("keys", nargs="*", help="promises to measure; all by default")
    arguments.add_argument("--merge", nargs="+", type=pathlib.Path, metavar="FILE", default=[])
    arguments.add_argument("--log", nargs="+", type=pathlib.Path, metavar="FILE", default=[])
    arguments.add_argument("--page", action="store_true")
    options = arguments.parse_args()
    keys = [p["key"] for p in PROMISES]
    unknown = set(options.keys) - set(keys)
    if unknown:
        arguments.error(f"there is no promise {', '.join(sorted(unknown))}; there are {', '.join(keys)}")

    figures = add({}, {})
    FOLDER.mkdir(parents=True, exist_ok=True)

    def write():
        (FOLDER / "trust.json").write_text(json.dumps(figures, indent=2) + "\n")
        (FOLDER / "trust.html").write_text(page(figures))

    for path in [KEPT, FOLDER / "trust.json", *options.merge]:
        if path in options.merge or path.exists():
            add(figures, {key: f.get("parts", {}) for key, f in json.loads(path.read_text()).items()})
    for path in options.log:
        measured = {}
        for line in path.read_text(errors="replace").splitlines():
            figure(line, measured, origin())
        add(figures, measured)
    asked = options.keys or ([] if options.merge or options.log or options.page else keys)
    # A command that serves several promises runs once, and not again for a part of its builds.
    commands = list(dict.fromkeys(p["command"] for p in PROMISES if p["key"] in asked and "command" in p))
    commands = [c for c in commands if not any(c != d and c.startswith(d + " ") for d in commands)]
    broken = []
    for number, command in enumerate(commands, 1):
        print(f"== {number} of {len(commands)}: {command}", flush=True)
        start = time.monotonic()
        measured, failed = measure(command)
        broken += [command] * failed
        add(figures, measured)
        write()
        print(f"   {(time.monotonic() - start) / 60:.0f} min", flush=True)
    write()
    for key, f in figures.items():
        state = "met" if f["met"] else "not met" if f["parts"] else "not run"
        print(f"{key:13} {state:8} {f['value']:>12,} of {f['target']:,} {f['unit']}"
              + (f"; not run: {', '.join(f['not_run'])}" if f["parts"] and f["not_run"] else ""))
    for command in broken:
        print(f"FAILED: {command}")
    print(f"written: {(FOLDER / 'trust.html').relative_to(ROOT)}")
    return int(bool(broken) or not all(figures[key]["met"] for key in asked))


if __name__ == "__main__":
    sys.exit(main())
