#!/usr/bin/env python3
"""From measured rows to the table of signal-to-noise and its plot: quality.py FOLDER

Reads FOLDER/quantize.jsonl; writes FOLDER/quantize.json, quantize.md and quantize.svg, and prints
the table.
"""

import json
import pathlib
import sys

if "--help" in sys.argv[1:] or len(sys.argv) != 2:
    sys.exit(print(__doc__) if "--help" in sys.argv[1:] else __doc__)

import matplotlib.figure

matplotlib.rcParams.update({"svg.hashsalt": "s3", "svg.fonttype": "none"})
GROUPS = {0: "row", 256: "256", 128: "128", 64: "64", 32: "32"}
STYLES = {"shift": ("#1a7f37", "o"), "dense": ("#bf8700", "s"), "int": ("#0969da", "^")}


def family(format):
    return format.rstrip("0123456789")


def real(row):
    return row["scales"] in ("binary16", "binary32")


def by_format(rows, weights):
    """{format: {group: row}} of the rows with real scales, the fewest bits first."""
    found = {}
    for row in rows:
        if row["weights"] == weights and real(row):
            found.setdefault(row["format"], {})[row["group"]] = row
    return dict(sorted(found.items(), key=lambda item: item[1][128]["bits"]))


def table(rows, names):
    """Decibels of every format and group, and what other scales change at groups of 128."""
    head = ["format", "bits a weight, row … 32"]
    lines = []
    for name in names:
        of_name = by_format(rows, name)
        lines += ["", f"**{name} weights**, dB", ""]
        titles = [*head, *GROUPS.values(), "2^p, 128", "bfloat16, 128"]
        lines += ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
        for format, groups in of_name.items():
            other = {row["scales"]: row["decibels"] for row in rows
                     if (row["weights"], row["format"], row["group"]) == (name, format, 128)}
            bits = f"{groups[0]['bits']:.4g} … {groups[32]['bits']:.4g}"
            cells = [f"`{format}`", bits, *(f"{groups[g]['decibels']:.1f}" for g in GROUPS),
                     f"{other['2^p']:.1f}", f"{other['bfloat16']:.2f} ({groups[128]['decibels']:.2f})"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines[1:]) + "\n"


def plot(rows, names):
    figure = matplotlib.figure.Figure(figsize=(4.2 * len(names), 4.4), layout="constrained")
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, names):
        lines = by_format(rows, name)
        lines.pop("int8", None)  # far above the others
        for format, groups in lines.items():
            end = groups[32]["decibels"], format
            below = sum(g[32]["bits"] == groups[32]["bits"] and (g[32]["decibels"], other) < end
                        for other, g in lines.items())  # labels lie as the lines end
            colour, marker = STYLES[family(format)]
            points = [(groups[g]["bits"], groups[g]["decibels"]) for g in GROUPS]
            axis.plot(*zip(*points), color=colour, marker=marker, markersize=5, alpha=0.8)
            axis.annotate(format, points[-1], xytext=(5, 9 * below - 12), textcoords="offset points",
                          fontsize=8, color=colour)
        axis.set_title(f"{name} weights", fontsize=10)
        axis.set_xlabel("bits per weight, scales included")
        axis.set_xlim(1.8, 5)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("signal to noise, dB")
    figure.suptitle("Rounding at equal bits: real scales per row, 256, 128, 64, 32 (left to right)", fontsize=11)
    return figure


def main():
    folder = pathlib.Path(sys.argv[1])
    rows = [json.loads(line) for line in (folder / "quantize.jsonl").read_text().splitlines()]
    names = list(dict.fromkeys(row["weights"] for row in rows))
    (folder / "quantize.json").write_text(
        "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")
    (folder / "quantize.md").write_text(table(rows, names))
    plot(rows, names).savefig(folder / "quantize.svg", metadata={"Date": None})
    print((folder / "quantize.md").read_text(), end="")
    for name in ("json", "md", "svg"):
        print(folder / f"quantize.{name}")


if __name__ == "__main__":
    main()
