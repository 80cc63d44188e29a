#!/usr/bin/env python3
"""From measured rows to the report: report.py FOLDER

Reads FOLDER/rows.jsonl, as the benchmarks write it, and FOLDER/onnxruntime.jsonl if it is there;
writes FOLDER/kernels.json, FOLDER/kernels.html and FOLDER/roofline.svg, the plot by matplotlib.
"""

import collections
import html
import json
import pathlib
import platform
import sys

if "--help" in sys.argv[1:] or len(sys.argv) != 2:
    sys.exit(print(__doc__) if "--help" in sys.argv[1:] else __doc__)

import roofline  # needs matplotlib

KEYS = ["regime", "shape", "kernel", "isa", "value", "baseline", "unit", "ratio", "target", "met"]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def read(folder):
    """Rows, and the limits of each build by its instruction set."""
    rows, machines = [], {}
    for entry in lines(folder / "rows.jsonl"):
        if "machine" in entry:
            machines.setdefault(entry["machine"], entry)
        else:
            rows.append(entry)
    return rows + beside_onnxruntime(folder), machines


def beside_onnxruntime(folder):
    """A line of a peer is followed by the rows of our kernel, measured right after it."""
    peer, made = None, []
    for entry in lines(folder / "onnxruntime.jsonl"):
        if "peer" in entry:
            peer = entry
        elif "regime" in entry and peer:
            value = entry["gmacs"] / entry["seconds"]
            ratio = value / peer["value"]
            made.append(
                {
                    **entry,
                    "regime": f"{entry['regime'].rsplit(', vs ', 1)[0]}, vs {peer['peer']}",
                    "value": float(f"{value:.4g}"),
                    "baseline": peer["value"],
                    "unit": "GMAC/s",
                    "ratio": round(ratio, 4),
                    "target": peer["target"],
                    "met": ratio >= peer["target"],
                }
            )
            peer = None
    return made


def processor():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    fields = dict(
        (key.strip(), value.strip())
        for key, _, value in (line.partition(":") for line in info.splitlines())
    )
    if "model name" not in fields:
        return platform.machine()
    return f"{fields['model name']} (family {fields['cpu family']}, model {fields['model']})"


def build(machine):
    return f"{machine['compiler']}, -O3 -march={machine['arch']}"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em }
table { border-collapse: collapse; width: 100%; font-size: 13px }
th, td { text-align: left; padding: 2px 8px; border-bottom: 1px solid #ddd }
td.number { text-align: right; font-variant-numeric: tabular-nums }
th[colspan] { padding-top: 1.2em; font-size: 15px }
.won { color: #1a7f37 } .lost { color: #cf222e }
svg { width: 100%; height: auto }
"""


def groups_of(rows):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["regime"]].append(row)
    return groups


def summary(rows):
    """Regimes with the range of their ratios: where we win, and where we lose."""
    out = ["<table><tr><th>regime<th>rows<th>ratio<th>target<th>met</tr>"]
    for regime, members in groups_of(rows).items():
        ratios, targets = [r["ratio"] for r in members], {r["target"] for r in members}
        met = sum(r["met"] for r in members)
        spread = f"{min(ratios):.2f} … {max(ratios):.2f}" if len(ratios) > 1 else f"{ratios[0]:.2f}"
        verdict = "won" if met == len(members) else "lost"
        wanted = " … ".join(f"{t:g}" for t in sorted({min(targets), max(targets)}))
        out.append(
            f'<tr><td>{html.escape(regime)}<td class="number">{len(members)}'
            f'<td class="number">{spread}<td class="number">{wanted}'
            f'<td class="{verdict}">{met} of {len(members)}</tr>'
        )
    out.append("</table>")
    return "\n".join(out)


def table(rows):
    out = ["<table>"]
    for regime, members in groups_of(rows).items():
        out.append(f'<tr><th colspan="9">{html.escape(regime)}</th></tr>')
        out.append(
            "<tr><th>shape<th>kernel<th>isa<th>kernel<th>rival<th>unit<th>ratio<th>target<th></tr>"
        )
        for row in members:
            verdict = "won" if row["met"] else "lost"
            cells = [html.escape(row[k]) for k in ("shape", "kernel", "isa")]
            numbers = [f"{row['value']:.4g}", f"{row['baseline']:.4g}"]
            out.append(
                "<tr>"
                + "".join(f"<td>{c}</td>" for c in cells)
                + "".join(f'<td class="number">{n}</td>' for n in numbers)
                + f"<td>{row['unit']}</td>"
                + f'<td class="number {verdict}">{row["ratio"]:.2f}{"" if row["clean"] else " ~"}</td>'
                + f'<td class="number">{row["target"]:g}</td>'
                + f'<td class="{verdict}">{"✓" if row["met"] else "✗"}</td></tr>'
            )
    out.append("</table>")
    return "\n".join(out)


def plot(machine, rows):
    return roofline.Plot(
        machine,
        rows,
        "Shift kernels under the machine's limits, one core",
        f"{processor()}, {build(machine)}; ./benchmarks/run.sh. "
        "Points above the slope find their weights in cache.",
    ).svg()


def page(rows, machines, plots):
    met = sum(row["met"] for row in rows)
    noisy = sum(not row["clean"] for row in rows)
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>s3 kernels</title>',
        f"<style>{STYLE}</style><h1>s3 kernels</h1>",
        f"<p>{html.escape(processor())}, one core unless said. {met} of {len(rows)} targets met",
        f"; {noisy} rows (~) without an undisturbed round" if noisy else "",
        ".</p>",
    ]
    for isa, machine in machines.items():
        mine = [row for row in rows if row["isa"] == isa]
        parts.append(
            f"<h2>{html.escape(isa)}</h2><p>{html.escape(build(machine))}. "
            f"{html.escape(machine['integer_peak_name'])} {machine['integer_peak']:.0f} GMAC/s, "
            f"{html.escape(machine['float_peak_name'])} {machine['float_peak']:.0f} GMAC/s, "
            + (f"{machine['tile_peak_name']} {machine['tile_peak']:.0f} GMAC/s, " if machine.get("tile_peak") else "")
            + f"streaming read {machine['stream']:.1f} GB/s.</p>"
        )
        parts.append(plots.get(isa, ""))
        parts += ["<h3>Wins and losses</h3>", summary(mine), "<h3>All rows</h3>", table(mine)]
    return "\n".join(parts)


def main():
    folder = pathlib.Path(sys.argv[1])
    rows, machines = read(folder)
    rows.sort(key=lambda row: row["isa"] != next(iter(machines)))
    published = [{key: row[key] for key in KEYS} for row in rows]
    (folder / "kernels.json").write_text(
        "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in published) + "\n]\n"
    )
    plots = {
        isa: plot(machine, mine)
        for isa, machine in machines.items()
        if any(roofline.points(mine := [row for row in rows if row["isa"] == isa]))
    }
    if plots:
        (folder / "roofline.svg").write_text(next(iter(plots.values())) + "\n")
    (folder / "kernels.html").write_text(page(rows, machines, plots))
    met = sum(row["met"] for row in rows)
    noisy = sum(not row["clean"] for row in rows)
    print(f"{met} of {len(rows)} targets met; {noisy} rows without an undisturbed round")
    for row in rows:
        if not row["met"]:
            print(
                f"  missed: {row['regime']}: {row['kernel']} {row['isa']} {row['shape']}: "
                f"{row['ratio']:.2f} of {row['target']:g}"
            )
    print(f"{folder}/kernels.json\n{folder}/kernels.html\n{folder}/roofline.svg")


if __name__ == "__main__":
    main()
