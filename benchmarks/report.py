#!/usr/bin/env python3
"""From measured rows to the report: report.py FOLDER

Reads FOLDER/rows.jsonl, as the benchmarks write it, and FOLDER/onnxruntime.json if it is there;
writes FOLDER/kernels.json and FOLDER/kernels.html. Standard library only.
"""

import collections
import html
import json
import math
import pathlib
import platform
import sys

KEYS = ["regime", "shape", "kernel", "isa", "value", "baseline", "unit", "ratio", "target", "met"]


def read(folder):
    """Rows, and the limits of each build by its instruction set."""
    rows, machines = [], {}
    for line in (folder / "rows.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "machine" in entry:
            machines[entry["machine"]] = entry
        else:
            rows.append(entry)
    peers = folder / "onnxruntime.json"
    if peers.exists():
        for peer in json.loads(peers.read_text()):
            rows += beside(peer, rows)
    return rows, machines


def beside(peer, rows):
    """A row for each kernel that was measured in the regime and shape of a peer's figure."""
    made = {}
    for row in rows:
        if (
            row["regime"].startswith(peer["regime"] + ", vs ")
            and row["shape"] == peer["shape"]
            and peer["kernel"] in row["kernel"]
        ):
            value = row["gmacs"] / row["seconds"]
            made[row["kernel"]] = {
                **row,
                "regime": f"{peer['regime']}, vs {peer['name']}",
                "value": float(f"{value:.4g}"),
                "baseline": peer["value"],
                "unit": "GMAC/s",
                "ratio": round(value / peer["value"], 4),
                "target": peer["target"],
                "met": value / peer["value"] >= peer["target"],
            }
    return made.values()


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


class Roofline:
    """Log-log plot: multiply-accumulates per byte of weights, and per second."""

    WIDTH, HEIGHT, LEFT, BOTTOM = 860, 460, 70, 50

    def __init__(self, machine, rows):
        self.machine = machine
        self.points = list(self.measured(rows))
        rates = [p[1] for p in self.points] + [machine["integer_peak"]]
        loads = [p[0] for p in self.points]
        self.x = (math.log10(min(loads) / 1.5), math.log10(max(loads) * 1.5))
        self.y = (math.log10(min(rates) / 1.5), math.log10(max(rates) * 1.5))

    def measured(self, rows):
        """(MAC per byte, GMAC/s, class, text), each once."""
        seen = set()
        for row in rows:
            if row["gmacs"] == 0:
                continue
            macs, value = row["gmacs"], row["gmacs"] / row["seconds"]
            family = "shift" if row["kernel"].startswith("shift_add") else "dot"
            if "fp32" in row["kernel"]:
                family += " fp32"
            mine = (row["kernel"], row["shape"])
            if mine not in seen:
                seen.add(mine)
                yield macs / row["gbytes"], value, family, f"{mine[0]}, {mine[1]}"
            peer = row["regime"].rsplit(", vs ", 1)[1]
            width = {"oneDNN int8": 1, "oneDNN fp32": 4, "OpenBLAS fp32": 4}.get(peer)
            theirs = (peer, row["shape"])
            if width and theirs not in seen:
                seen.add(theirs)
                bits = row["weight_bits"]
                load = macs / (row["gbytes"] * 8 * width / bits)
                yield load, row["baseline"], "peer", f"{peer}, {row['shape']}"

    def at(self, x, y):
        across = (math.log10(x) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(y) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.LEFT + across * (self.WIDTH - self.LEFT - 10),
            (self.HEIGHT - self.BOTTOM) * (1 - up) + 10 * up,
        )

    def line(self, points, style):
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*p) for p in points))
        return f'<polyline class="{style}" points="{text}"/>'

    def roof(self, peak, name):
        """The limit of memory up to its ridge, then the peak."""
        low, high = (10**v for v in self.x)
        stream = self.machine["stream"]
        ridge = min(max(peak / stream, low), high)
        start = max(low, 10 ** self.y[0] / stream)
        x, y = self.at(high, peak)
        return (
            self.line([(start, start * stream), (ridge, ridge * stream), (high, peak)], "roof")
            + f'<text x="{x:.0f}" y="{y - 5:.0f}" text-anchor="end">{html.escape(name)}</text>'
        )

    def svg(self):
        parts = [f'<svg viewBox="0 0 {self.WIDTH} {self.HEIGHT}" role="img">']
        for exponent in range(math.ceil(self.x[0]), math.floor(self.x[1]) + 1):
            x, y = self.at(10**exponent, 10 ** self.y[0])
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="10" x2="{x:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{10.0**exponent:g}</text>')
        for exponent in range(math.ceil(self.y[0]), math.floor(self.y[1]) + 1):
            x, y = self.at(10 ** self.x[0], 10**exponent)
            parts.append(f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{self.WIDTH - 10}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>')
        parts.append(
            f'<text x="{self.WIDTH / 2:.0f}" y="{self.HEIGHT - 8}" text-anchor="middle">'
            "multiply-accumulates per byte of weights</text>"
            f'<text transform="translate(14 {self.HEIGHT / 2:.0f}) rotate(-90)"'
            ' text-anchor="middle">GMAC/s</text>'
        )
        parts.append(self.roof(self.machine["integer_peak"], self.machine["integer_peak_name"]))
        parts.append(self.roof(self.machine["float_peak"], self.machine["float_peak_name"]))
        for load, rate, style, label in sorted(self.points, key=lambda p: p[2] != "peer"):
            x, y = self.at(load, rate)
            parts.append(
                f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{html.escape(label)}: {rate:.4g} GMAC/s</title></circle>"
            )
        parts.append("</svg>")
        return "".join(parts)


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1100px; padding: 0 1em }
table { border-collapse: collapse; width: 100%; font-size: 13px }
th, td { text-align: left; padding: 2px 8px; border-bottom: 1px solid #ddd }
td.number { text-align: right; font-variant-numeric: tabular-nums }
th[colspan] { padding-top: 1.2em; font-size: 15px }
.won { color: #1a7f37 } .lost { color: #cf222e }
svg { width: 100%; font: 12px system-ui, sans-serif }
.grid { stroke: #e5e5e5 } .roof { fill: none; stroke: #444; stroke-width: 1.5 }
circle, .key { stroke-width: 1.5; fill-opacity: .8 }
.dot { fill: #0969da; stroke: #0969da } .shift { fill: #1a7f37; stroke: #1a7f37 }
.dot.fp32 { fill: #fff } .shift.fp32 { fill: #fff } .peer { fill: #bbb; stroke: #888 }
"""

LEGEND = [
    ("dot", "dot, integers"),
    ("shift", "shift_add, integers"),
    ("dot fp32", "dot, fp32"),
    ("shift fp32", "shift_add, fp32"),
    ("peer", "other libraries"),
]


def legend():
    return "".join(
        f'<svg viewBox="0 0 12 12" style="width:12px"><circle class="{style}" cx="6" cy="6" r="4"/>'
        f"</svg> {text} &nbsp; "
        for style, text in LEGEND
    )


def table(rows):
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["regime"]].append(row)
    out = ["<table>"]
    for regime, members in groups.items():
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


def page(rows, machines):
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
            f"<h2>{html.escape(isa)}</h2><p>{html.escape(machine['compiler'])}, "
            f"-O3 -march={html.escape(machine['arch'])}. "
            f"{html.escape(machine['integer_peak_name'])} {machine['integer_peak']:.0f} GMAC/s, "
            f"{html.escape(machine['float_peak_name'])} {machine['float_peak']:.0f} GMAC/s, "
            f"streaming read {machine['stream']:.1f} GB/s.</p>"
        )
        if any(row["gmacs"] for row in mine):
            parts.append(Roofline(machine, mine).svg())
            parts.append(f"<p>{legend()}</p>")
        parts.append(table(mine))
    return "\n".join(parts)


def main():
    folder = pathlib.Path(sys.argv[1])
    rows, machines = read(folder)
    rows.sort(key=lambda row: row["isa"] != next(iter(machines)))
    published = [{key: row[key] for key in KEYS} for row in rows]
    (folder / "kernels.json").write_text(
        "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in published) + "\n]\n"
    )
    (folder / "kernels.html").write_text(page(rows, machines))
    met = sum(row["met"] for row in rows)
    noisy = sum(not row["clean"] for row in rows)
    print(f"{met} of {len(rows)} targets met; {noisy} rows without an undisturbed round")
    for row in rows:
        if not row["met"]:
            print(
                f"  missed: {row['regime']}: {row['kernel']} {row['isa']} {row['shape']}: "
                f"{row['ratio']:.2f} of {row['target']:g}"
            )
    print(f"{folder}/kernels.json\n{folder}/kernels.html")


if __name__ == "__main__":
    main()
