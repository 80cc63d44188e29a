"""The roofline plot of a report, as an SVG of its own: multiply-accumulates per second over
multiply-accumulates per byte of weights, both logarithmic, below the machine's measured limits."""

import html
import math

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 16px } .small { font-size: 12px; fill: #57606a }
.grid { stroke: #eaeef2 } .roof { fill: none; stroke: #24292f; stroke-width: 1.5 }
.leader { stroke: #8c959f; stroke-width: .8 }
circle { stroke-width: 1.5; fill-opacity: .85 }
.dot { fill: #54aeff; stroke: #0969da } .shift { fill: #4ac26b; stroke: #1a7f37 }
.dot.fp32 { fill: #fff; stroke: #0969da } .shift.fp32 { fill: #fff; stroke: #1a7f37 }
.peer { fill: #d0d7de; stroke: #6e7781 }
"""

LEGEND = [
    ("dot", "dot, bytes"),
    ("shift", "shift_add, bytes"),
    ("dot fp32", "dot, fp32"),
    ("shift fp32", "shift_add, fp32"),
    ("peer", "other libraries"),
]

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
    WIDTH, HEIGHT = 960, 560
    LEFT, RIGHT, TOP, BOTTOM = 64, 230, 74, 62

    def __init__(self, machine, rows, title, subtitle):
        self.machine, self.title, self.subtitle = machine, title, subtitle
        self.peaks = [kind for kind in ("tile", "integer", "float") if machine.get(f"{kind}_peak")]
        self.points = list(points(rows))
        loads = [p[0] for p in self.points]
        rates = [p[1] for p in self.points] + [machine[f"{kind}_peak"] for kind in self.peaks]
        self.x = (math.log10(min(loads) / 1.6), math.log10(max(loads) * 1.4))
        self.y = (math.log10(min(rates) / 1.4), math.log10(max(rates) * 1.5))

    def at(self, load, rate):
        across = (math.log10(load) - self.x[0]) / (self.x[1] - self.x[0])
        up = (math.log10(rate) - self.y[0]) / (self.y[1] - self.y[0])
        return (
            self.LEFT + across * (self.WIDTH - self.LEFT - self.RIGHT),
            self.TOP + (1 - up) * (self.HEIGHT - self.TOP - self.BOTTOM),
        )

    @staticmethod
    def text(x, y, text, anchor="start", style=""):
        style = f' class="{style}"' if style else ""
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{html.escape(text)}</text>'

    @staticmethod
    def line(a, b, style):
        return f'<line class="{style}" x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"/>'

    def axes(self):
        low, high = [10**v for v in self.x], [10**v for v in self.y]
        for exponent in range(math.ceil(self.x[0]), math.floor(self.x[1]) + 1):
            x = 10.0**exponent
            yield self.line(self.at(x, high[0]), self.at(x, high[1]), "grid")
            yield self.text(self.at(x, 1)[0], self.HEIGHT - self.BOTTOM + 18, f"{x:g}", "middle")
        for exponent in range(math.ceil(self.y[0]), math.floor(self.y[1]) + 1):
            y = 10.0**exponent
            yield self.line(self.at(low[0], y), self.at(low[1], y), "grid")
            yield self.text(self.LEFT - 8, self.at(1, y)[1] + 4, f"{y:g}", "end")
        middle = (self.LEFT + self.WIDTH - self.RIGHT) / 2
        yield self.text(middle, self.HEIGHT - 22, "multiply-accumulates per byte of weights", "middle")
        yield (
            f'<text transform="translate(18 {(self.TOP + self.HEIGHT - self.BOTTOM) / 2:.0f}) rotate(-90)"'
            ' text-anchor="middle">GMAC/s</text>'
        )

    def roofs(self):
        low, high = (10**v for v in self.x)
        stream = self.machine["stream"]
        start = max(low, 10 ** self.y[0] / stream)
        for kind in self.peaks:
            peak = self.machine[f"{kind}_peak"]
            ridge = min(max(peak / stream, low), high)
            corners = [(start, start * stream), (ridge, peak), (high, peak)]
            path = " ".join("{:.1f},{:.1f}".format(*self.at(*corner)) for corner in corners)
            yield f'<polyline class="roof" points="{path}"/>'
        # Along the slope, above it.
        load = start * 1.25
        x, y = self.at(load, load * stream)
        x2, y2 = self.at(load * 10, load * 10 * stream)
        angle = math.degrees(math.atan2(y2 - y, x2 - x))
        yield (
            f'<text class="small" transform="translate({x - 7:.1f} {y - 7:.1f}) rotate({angle:.1f})">'
            f"streaming read, {stream:.1f} GB/s</text>"
        )

    def labels(self):
        """Names: of points of few columns beside them, others and the peaks in the right margin."""
        margin = []
        for load, rate, _, _, name in self.points:
            if name is None:
                continue
            x, y = self.at(load, rate)
            if "N = 1" in name:
                yield self.text(x + 9, y + 4, name, style="small")
            else:
                margin.append([y, x + 5, y, name])
        for kind in self.peaks:
            peak = self.machine[f"{kind}_peak"]
            x, y = self.at(10 ** self.x[1], peak)
            margin.append([y, x, y, f"{self.machine[kind + '_peak_name']}, {peak:.0f} GMAC/s"])
        margin.sort()
        gap = 17
        for i in range(1, len(margin)):
            margin[i][0] = max(margin[i][0], margin[i - 1][0] + gap)
        shift = sum(m[0] - m[2] for m in margin) / len(margin)
        left = self.WIDTH - self.RIGHT + 14
        for at, x, y, name in margin:
            at = at - shift
            yield self.line((x, y), (left - 3, at), "leader")
            yield self.text(left, at + 4, name)

    def dots(self):
        for load, rate, style, text, _ in sorted(self.points, key=lambda p: p[2] != "peer"):
            x, y = self.at(load, rate)
            yield (
                f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{html.escape(text)}: {rate:.4g} GMAC/s</title></circle>"
            )

    def legend(self):
        x = self.LEFT
        for style, text in LEGEND:
            yield f'<circle class="{style}" cx="{x + 5}" cy="60" r="4"/>'
            yield self.text(x + 14, 64, text)
            x += 30 + 7.2 * len(text)

    def svg(self):
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.WIDTH} {self.HEIGHT}"'
                f' width="{self.WIDTH}" height="{self.HEIGHT}" role="img">',
                f"<style>{STYLE}</style>",
                f'<rect width="{self.WIDTH}" height="{self.HEIGHT}" fill="#fff"/>',
                self.text(self.LEFT, 22, self.title, style="title"),
                self.text(self.LEFT, 41, self.subtitle, style="small"),
                *self.axes(),
                *self.roofs(),
                *self.labels(),
                *self.dots(),
                *self.legend(),
                "</svg>",
            ]
        )
