"""The roofline plot of a report, as an SVG of its own: multiply-accumulates per second over
multiply-accumulates per byte of weights, both logarithmic, below the machine's measured limits."""

import io
import textwrap

import matplotlib.figure
import matplotlib.ticker

STYLES = {
    "dot": ("dot, bytes", "#54aeff", "#0969da"),
    "shift": ("shift_add, bytes", "#4ac26b", "#1a7f37"),
    "dot fp32": ("dot, fp32", "#ffffff", "#0969da"),
    "shift fp32": ("shift_add, fp32", "#ffffff", "#1a7f37"),
    "peer": ("other libraries", "#d0d7de", "#6e7781"),
}

# Points that are named: (text, regime, part of the kernel or name of the rival, shape).
NAMED = [
    ("3 bits, N = 1", "N = 1 out of cache", "shift3·int8", "M=4096 K=4096 N=1"),
    ("oneDNN int8, N = 1", "N = 1 out of cache", "oneDNN int8", "M=4096 K=4096 N=1"),
    ("3 bits × fp32, N = 1", "N = 1 out of cache, fp32", "shift3·fp32", "M=4096 K=4096 N=1"),
    ("oneDNN fp32, N = 1", "N = 1 out of cache, fp32", "oneDNN fp32", "M=4096 K=4096 N=1"),
    ("ternary × 4 bits, shift_add", "GEMM, ternary shift_add, activations of 4 bits", "shift2", "M=4096 K=4096 N=512"),
    ("3 × 3 filter × 6 bits, Winograd", "conv2d 3x3, activations of 6 bits, 3-bit", "winograd", "256->256 3x3/1 14x14"),
    ("ternary, shift_add", "GEMM, ternary shift_add", "shift2", "M=4096 K=4096 N=512"),
    ("3 bits, dot", "GEMM, 3-bit dot", "shift3", "M=4096 K=4096 N=512"),
    ("oneDNN int8", "GEMM, 3-bit dot", "oneDNN int8", "M=4096 K=4096 N=512"),
    ("3 bits, shift_add", "GEMM, 3-bit shift_add", "shift3", "M=4096 K=4096 N=512"),
    ("ternary × fp32, shift_add", "GEMM, fp32, ternary", "shift2", "M=4096 K=4096 N=512"),
    ("3 bits × fp32", "GEMM, fp32, 3-bit", "shift3", "M=4096 K=4096 N=512"),
    ("oneDNN fp32", "GEMM, fp32, 3-bit", "oneDNN fp32", "M=4096 K=4096 N=512"),
]

RIVAL_BYTES = {"oneDNN int8": 1, "oneDNN fp32": 4, "OpenBLAS fp32": 4}


def points(rows):
    """(MAC per byte, GMAC/s, class, description, name or None), each once."""
    seen = set()
    for row in rows:
        if 0 in (row["gmacs"], row["gbytes"]) or row["regime"].startswith(("automatic", "two threads")):
            continue
        regime, rival = row["regime"].rsplit(", vs ", 1)

        def name(kernel):
            for text, wanted, part, shape in NAMED:
                if regime == wanted and part in kernel and row["shape"].startswith(shape):
                    return text

        style = "shift" if row["kernel"].startswith("shift_add") else "dot"
        if "fp32" in row["kernel"]:
            style += " fp32"
        load = row["gmacs"] / row["gbytes"]
        if (regime, row["kernel"], row["shape"]) not in seen:
            seen.add((regime, row["kernel"], row["shape"]))
            text = f"{row['kernel']}, {row['shape']}"
            yield load, row["gmacs"] / row["seconds"], style, text, name(row["kernel"])
        in_cache = "out of cache" not in regime
        if rival in RIVAL_BYTES and (in_cache, rival, row["shape"]) not in seen:
            seen.add((in_cache, rival, row["shape"]))
            load *= row["weight_bits"] / 8 / RIVAL_BYTES[rival]
            yield load, row["baseline"], "peer", f"{rival}, {row['shape']}", name(rival)


class Plot:
    """Lays the points out by matplotlib."""

    def __init__(self, machine, rows, title, subtitle):
        self.machine, self.title, self.subtitle = machine, title, subtitle
        self.peaks = [kind for kind in ("tile", "integer", "float") if machine.get(f"{kind}_peak")]
        self.points = list(points(rows))

    def roofs(self, axes, low, high):
        stream = self.machine["stream"]
        for kind in self.peaks:
            peak = self.machine[f"{kind}_peak"]
            axes.plot([low, min(max(peak / stream, low), high), high],
                      [low * stream, peak, peak], color="#24292f", linewidth=1.2, zorder=1)
        axes.text(0.99, 0.02, f"slope: streaming read, {stream:.1f} GB/s", transform=axes.transAxes,
                  ha="right", fontsize=9, color="#57606a")

    def labels(self, axes, high):
        """Names in the right margin, kept apart, each with a line to its point."""
        margin = [[rate, load, name] for load, rate, _, _, name in self.points if name]
        for kind in self.peaks:
            peak = self.machine[f"{kind}_peak"]
            margin.append([peak, high, f"{self.machine[kind + '_peak_name']}, {peak:.0f} GMAC/s"])
        margin.sort()
        to_axes = axes.transScale + axes.transLimits
        gap, heights = 0.042, []
        for rate, load, _ in margin:
            wanted = to_axes.transform((load, rate))[1]
            heights.append(max(wanted, heights[-1] + gap) if heights else max(wanted, 0.08))
        over = max(0.0, heights[-1] - 1)
        heights = [h - over for h in heights]
        for (rate, load, name), height in zip(margin, heights):
            axes.annotate(name, (load, rate), (1.06, height), textcoords="axes fraction", va="center",
                          fontsize=9, arrowprops={"arrowstyle": "-", "color": "#8c959f", "lw": 0.7,
                                                    "relpos": (0, 0.5)})

    def svg(self):
        matplotlib.rcParams["svg.hashsalt"] = "s3"  # the same plot has the same bytes
        figure = matplotlib.figure.Figure(figsize=(10.5, 6))
        axes = figure.add_axes((0.07, 0.1, 0.64, 0.7))
        loads, rates = zip(*(p[:2] for p in self.points))
        rates += tuple(self.machine[f"{kind}_peak"] for kind in self.peaks)
        low, high = min(loads) / 1.6, max(loads) * 1.4
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(min(rates) / 1.4, max(rates) * 1.5),
                 xlabel="multiply-accumulates per byte of weights", ylabel="GMAC/s")
        axes.grid(True, color="#eaeef2")
        for side in (axes.xaxis, axes.yaxis):
            side.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda v, _: f"{v:g}"))
        self.roofs(axes, low, high)
        for style, (text, face, edge) in STYLES.items():
            mine = [p for p in self.points if p[2] == style]
            if mine:
                axes.scatter([p[0] for p in mine], [p[1] for p in mine], s=28, c=face, edgecolors=edge,
                             label=text, zorder=2 if style == "peer" else 3)
        self.labels(axes, high)
        figure.text(0.07, 0.96, self.title, fontsize=13, weight="bold", va="top")
        figure.text(0.07, 0.915, textwrap.fill(self.subtitle, 135), fontsize=8.5, color="#57606a", va="top")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncol=5, frameon=False, fontsize=9,
                    borderaxespad=0.2, handletextpad=0.1, columnspacing=1)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
        text = out.getvalue()
        return text[text.index("<svg"):]
