"""Statistics, verdicts and plots of finished runs: claims.json, claims.html, claims.svg."""

import base64
import json

import matplotlib
import matplotlib.ticker
import numpy as np
from scipy import stats

matplotlib.use("svg")
import matplotlib.pyplot as plt

RESAMPLES = 4000
COLOURS = {"holds": "#2b7a78", "fails": "#b3372f", "undecided": "#7a869a", "incomplete": "#c8c8c8"}


def runs_of(records, task, arm):
    """{seed: record} of an arm's runs, tuning aside."""
    return {r["spec"]["seed"]: r for r in records.values()
            if r["spec"]["task"] == task and r["spec"]["arm"]["name"] == arm
            and not r["spec"]["tuning"]}


def right(record):
    """A bit per test image: whether it was classified rightly."""
    return np.unpackbits(np.frombuffer(base64.b64decode(record["right"]), np.uint8),
                         bitorder="little")


def compare(records, comparison):
    """The paired difference first - second, its interval by Student's t over seeds, the two-sided p of
    its distance from the margin, and a bootstrap interval that draws seeds and test images anew."""
    first, second = (runs_of(records, comparison["task"], comparison[k])
                     for k in ("first", "second"))
    seeds = sorted(first.keys() & second.keys())[:comparison["seeds"]]
    out = {"comparison": f"{comparison['task']}: {comparison['first']} - {comparison['second']}",
           "claim": comparison.get("claim", "3-bit S3, trained as recommended, reaches full precision"),
           "seeds": len(seeds), "margin": comparison["margin"], "verdict": "incomplete"}
    if len(seeds) < 2:
        return out
    d = np.array([first[s]["accuracy"] - second[s]["accuracy"] for s in seeds])
    error = d.std(ddof=1) / np.sqrt(len(d))
    half = stats.t.ppf(0.975, len(d) - 1) * error
    out["difference"] = round(d.mean(), 3)
    out["interval"] = [round(d.mean() - half, 3), round(d.mean() + half, 3)]
    distance = d.mean() - comparison["margin"]
    out["p"] = float(2 * stats.t.sf(abs(distance) / error, len(d) - 1)) if error > 0 else 0.0
    images = np.array([right(first[s]).astype(float) - right(second[s]) for s in seeds])
    random = np.random.default_rng(1)
    means = [100 * images[random.integers(len(seeds), size=len(seeds))].mean(0)
             [random.integers(images.shape[1], size=images.shape[1])].mean() for _ in range(RESAMPLES)]
    out["bootstrap_interval"] = [round(float(q), 3) for q in np.quantile(means, [0.025, 0.975])]
    if len(seeds) == comparison["seeds"]:
        out["verdict"] = "holds" if distance > 0 else "fails"
    return out


def holm(comparisons, level=0.05):
    """Holm's step-down: adjusted p values; a verdict whose p is above the level is undecided. What is
    incomplete counts as a test, too, so that looking early decides nothing easily."""
    ranked = sorted(comparisons, key=lambda c: c.get("p", 1.0))
    highest = 0.0
    for rank, c in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ranked) - rank) * c.get("p", 1.0)))
        if "p" in c:
            c["adjusted_p"] = highest
        if c["verdict"] != "incomplete" and highest > level:
            c["verdict"] = "undecided"


def summary_of(plan, records, task, arm):
    """What claims.json tells of an arm."""
    runs = runs_of(records, task, arm)
    out = {"name": arm, "task": task,
           "origin": "as published" if plan.arms[arm].get("published") else "tuned",
           "epochs": plan.tasks[task]["epochs"], "seeds": len(runs)}
    settings = plan.settings(task, arm, records)
    if settings:
        out["rate"], out["decay"] = settings
    tuning = [r for r in records.values() if r["spec"]["tuning"] and r["spec"]["task"] == task
              and r["spec"]["arm"]["name"] == arm]
    if tuning:
        out["tuning"] = [{"rate": r["spec"]["rate"], "decay": r["spec"]["decay"],
                          "held_out_accuracy": r["accuracy"], "held_out_loss": r["judged_loss"],
                          "loss": r["loss"]} for r in tuning]
    if runs:
        ordered = [runs[s] for s in sorted(runs)]
        last = [np.array(r["history"][-1]["moves"], float) for r in ordered]
        out |= {"accuracies": [r["accuracy"] for r in ordered],
                "mean": round(float(np.mean([r["accuracy"] for r in ordered])), 3),
                "losses": [r["loss"] for r in ordered],
                "mean_loss": round(float(np.mean([r["loss"] for r in ordered])), 4),
                "zeros": round(float(np.mean([m[:, 1].sum() / m.sum() for m in last])), 4),
                "never_flipped": round(float(np.mean(
                    [r["history"][-1]["never_flipped"] for r in ordered])), 4),
                "moves": moves(ordered),
                "seconds_per_epoch": round(float(np.median(
                    [r["seconds"] / r["spec"]["epochs"] for r in ordered])), 1)}
    return out


def moves(runs):
    """Shares of all weights and epochs: from state i to state j of -, 0, +."""
    total = sum(np.array(e["moves"], float) for r in runs for e in r["history"])
    return (total / total.sum()).round(5).tolist()


def evaluate(plan, records):
    primary = compare(records, plan.primary)
    if primary["verdict"] != "incomplete" and primary["p"] > 0.05:
        primary["verdict"] = "undecided"
    secondary = [compare(records, c) for c in plan.secondary]
    holm(secondary)
    arms = [summary_of(plan, records, task, arm) for task in plan.tasks for arm in plan.arms
            if plan.seeds(task, arm)]
    return {"primary": primary, "secondary": secondary, "arms": arms}


def forest(result):
    """Differences with their intervals and margins."""
    rows = [c for c in [result["primary"], *result["secondary"]] if "difference" in c]
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.42 * max(1, len(rows))))
    for y, c in enumerate(reversed(rows)):
        colour = COLOURS[c["verdict"]]
        axes.plot(c["interval"], [y, y], color=colour, lw=2)
        axes.plot(c["difference"], y, "o", color=colour)
        axes.plot([c["margin"]] * 2, [y - 0.35, y + 0.35], color="#888", ls=":")
        axes.annotate(f"{c['difference']:+.2f}  {c['seeds']} seeds: {c['verdict']}",
                      (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    axes.axvline(0, color="#ccc", lw=1, zorder=0)
    axes.set_yticks(range(len(rows)), [c["comparison"] for c in reversed(rows)], fontsize=8)
    axes.set_xlabel("difference in points of test accuracy, with 95% interval; dotted: the margin")
    return figure


def curves(plan, records, task):
    """Training loss, test accuracy and direct flips by epoch, means over seeds."""
    arms = [a for a in plan.arms if runs_of(records, task, a)]
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    for index, arm in enumerate(arms):
        runs = list(runs_of(records, task, arm).values())
        style = dict(label=arm, color=plt.get_cmap("tab20")(index % 20))
        epochs = range(1, len(runs[0]["history"]) + 1)
        for part, of in enumerate([lambda e: e["loss"], lambda e: e["accuracy"],
                                   lambda e: 100 * (e["moves"][0][2] + e["moves"][2][0])
                                   / np.sum(e["moves"])]):
            axes[part].plot(epochs, np.mean([[of(e) for e in r["history"]] for r in runs], 0), **style)
    for part, title in enumerate(["training loss", "test accuracy, %",
                                  "weights that flip directly, % an epoch"]):
        axes[part].set(title=title, xlabel="epoch")
    axes[0].set_yscale("log")
    plain = matplotlib.ticker.FormatStrFormatter("%.2g")
    axes[0].yaxis.set(major_formatter=plain, minor_formatter=plain)
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="center left",
                  bbox_to_anchor=(1, 0.5))
    figure.suptitle(plan.tasks[task]["title"])
    return figure


def _svg(figure, path):
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return path.read_text().split("?>", 1)[1].split(">", 1)[1]


def _table(head, rows):
    cells = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>\n" for row in rows)
    return f"<table><tr>{''.join(f'<th>{h}</th>' for h in head)}</tr>\n{cells}</table>\n"


def _comparison_row(c):
    interval = "" if "interval" not in c else f"{c['interval'][0]:+.2f} … {c['interval'][1]:+.2f}"
    bootstrap = c.get("bootstrap_interval")
    return [c["claim"], c["comparison"], f"{c['difference']:+.2f}" if "difference" in c else "",
            interval, f"{bootstrap[0]:+.2f} … {bootstrap[1]:+.2f}" if bootstrap else "",
            c["margin"], c["seeds"], c["verdict"]]


def write_report(plan, records, folder):
    """Writes all files; returns a short table as text."""
    folder.mkdir(parents=True, exist_ok=True)
    result = evaluate(plan, records)
    plt.rcParams |= {"svg.hashsalt": "s3", "svg.fonttype": "none"}
    plots = _svg(forest(result), folder / "claims.svg")
    for task in plan.tasks:
        if any(runs_of(records, task, a) for a in plan.arms):
            plots += _svg(curves(plan, records, task), folder / f"claims-{task}.svg")
    arms = [a for a in result["arms"] if a["seeds"]]
    page = ("<!doctype html><meta charset='utf-8'><title>The claims</title><style>body{font:15px "
            "system-ui;margin:2em;max-width:75em}td,th{padding:2px 10px;text-align:left}"
            "</style><h1>The claims</h1>\n"
            + _table(["claim", "first − second", "points", "95% by t", "bootstrap", "margin", "seeds",
                      "verdict"], map(_comparison_row, [result["primary"], *result["secondary"]]))
            + _table(["task", "arm", "", "seeds", "rate", "decay", "accuracy %", "training loss",
                      "zeros %", "never flipped %", "− ↔ + %", "to and from 0 %", "s an epoch"],
                     [[a["task"], a["name"], a["origin"], a["seeds"], f"{a['rate']:g}",
                       f"{a['decay']:g}", f"{a['mean']:.2f}", f"{a['mean_loss']:.4f}",
                       f"{100 * a['zeros']:.1f}", f"{100 * a['never_flipped']:.1f}",
                       f"{100 * (a['moves'][0][2] + a['moves'][2][0]):.2f}",
                       f"{100 * sum(a['moves'][i][j] for i, j in [(0, 1), (1, 0), (1, 2), (2, 1)]):.2f}",
                       a["seconds_per_epoch"]] for a in arms])
            + plots)
    for name, content in [("claims.json", json.dumps(result, indent=1) + "\n"),
                          ("claims.html", page)]:
        part = folder / f"{name}.part"
        part.write_text(content)
        part.replace(folder / name)
    lines = [f"{a['task']:8} {a['name']:24} {a['seeds']:3} seeds  {a['mean']:.2f}%  "
             f"loss {a['mean_loss']:.4f}" for a in arms]
    lines += [f"{c['comparison']:52} {c.get('difference', float('nan')):+.2f} "
              f"{c.get('interval', '')}  {c['verdict']}" for c in
              [result["primary"], *result["secondary"]]]
    return "\n".join([*lines, f"Report: {folder}/claims.json, claims.html, claims.svg"])
