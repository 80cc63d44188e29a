"""plan.toml as Python: tasks, arms, comparisons, the runs that they need, and the search for rates."""

import json
import math
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
RATE_FACTOR, DECAY_FACTOR = 2.0, 3.0


def _rounded(value):
    """Three digits, so that powers of the factors name their files shortly."""
    return float(f"{value:.3g}")


class Plan:
    def __init__(self, path=HERE / "plan.toml"):
        with open(path, "rb") as file:
            plan = tomllib.load(file)
        self.tasks = plan["task"]
        self.arms = {arm["name"]: arm for arm in plan["arm"]}
        self.tuning = plan["tuning"]
        self.primary = plan["primary"]
        self.secondary = plan["secondary"]
        for comparison in self.comparisons():
            for side in ("first", "second"):
                if comparison[side] not in self.arms:
                    raise ValueError(f"{path}: no arm is named {comparison[side]}")
            if comparison["task"] not in self.tasks:
                raise ValueError(f"{path}: no task is named {comparison['task']}")
        for name, task in self.tasks.items():
            if task.get("precision", "float32") not in ("float32", "bfloat16"):
                raise ValueError(f"{path}: precision of task {name} is {task['precision']}; it is "
                                 "float32 or bfloat16")

    def comparisons(self):
        return [self.primary, *self.secondary]

    def seeds(self, task, arm):
        """How many seeds the comparisons want of an arm."""
        return max((c["seeds"] for c in self.comparisons()
                    if c["task"] == task and arm in (c["first"], c["second"])), default=0)

    def spec(self, task, arm, rate, decay, seed, tuning=False):
        """All that decides a run's outcome."""
        t = self.tasks[task]
        precision = {"precision": t["precision"]} if "precision" in t else {}
        return {"task": task, "data": t["data"], "pool": t["pool"], "network": t["network"],
                "augment": t["data"] == "cifar10", "epochs": t["epochs"], "held_out": t["held_out"],
                "arm": {k: v for k, v in self.arms[arm].items() if k not in ("rate", "decay")},
                "rate": rate, "decay": decay, "seed": seed, "tuning": tuning, **precision}

    def needs_tuning(self, task, arm):
        return "tuned_by" not in self.tasks[task] and not self.arms[arm].get("published")

    def settings(self, task, arm, done):
        """(rate, decay) of an arm's runs, or None while tuning is incomplete."""
        task = self.tasks[task].get("tuned_by", task)
        if self.arms[arm].get("published"):
            return self.arms[arm]["rate"], self.arms[arm]["decay"]
        if self.next_tuning(task, arm, done) is not None:
            return None
        return best(self._tuned(task, arm, done))

    def _tuned(self, task, arm, done):
        """{(rate, decay): record} of an arm's finished tuning runs."""
        return {(r["spec"]["rate"], r["spec"]["decay"]): r for r in done.values()
                if r["spec"]["tuning"] and r["spec"]["task"] == task
                and r["spec"]["arm"]["name"] == arm}

    def next_tuning(self, task, arm, done):
        """The spec of the next tuning run of an arm, or None: its budget is spent and the best point
        has all its neighbours."""
        found = self._tuned(task, arm, done)
        start = self.arms[arm]["rate"], self.arms[arm]["decay"]
        candidates = [start] if not found else []
        if found:
            candidates = [p for p in neighbours(best(found)) if p not in found]
            if not candidates and len(found) < self.tuning["budget"]:  # the rest of the budget
                ranked = sorted(found, key=lambda p: found[p]["judged_loss"])
                candidates = [p for q in ranked for p in neighbours(q) if p not in found][:1]
        if not candidates:
            return None
        return self.spec(task, arm, *candidates[0], self.tuning["seed"], tuning=True)

    def next_run(self, done, started, tasks):
        """The most urgent run that is ready, or None. Tuning goes first; then seed by seed, the primary
        comparison's arms before the others."""
        for task in tasks:
            arms = [a for a in self.arms if self.seeds(task, a)]
            primary = [c for c in (self.primary["first"], self.primary["second"]) if c in arms]
            arms = primary + [a for a in arms if a not in primary]
            for arm in arms:
                if self.needs_tuning(task, arm):
                    spec = self.next_tuning(task, arm, done)
                    if spec is not None and not any(
                            s["tuning"] and s["arm"]["name"] == arm for s in started.values()):
                        return spec
            for seed in range(1, max(map(lambda a: self.seeds(task, a), arms), default=0) + 1):
                for arm in arms:
                    settings = self.settings(task, arm, done)
                    if seed > self.seeds(task, arm) or settings is None:
                        continue
                    spec = self.spec(task, arm, *settings, seed)
                    if key(spec) not in done and key(spec) not in started:
                        return spec
        return None

    def count_left(self, done, tasks):
        """{task: epochs} that are left, tuning runs beyond the budget not foreseen."""
        left = {}
        for task in tasks:
            runs = 0
            for arm in self.arms:
                seeds = self.seeds(task, arm)
                runs += seeds - sum(r["spec"]["task"] == task and not r["spec"]["tuning"]
                                    and r["spec"]["arm"]["name"] == arm for r in done.values())
                if seeds and self.needs_tuning(task, arm):
                    runs += max(0, self.tuning["budget"] - len(self._tuned(task, arm, done)))
            left[task] = runs * self.tasks[task]["epochs"]
        return left

    def check(self, records, folder):
        """Refuses records that this plan would not have made."""
        for name, record in records.items():
            spec, problem = record["spec"], None
            if spec["task"] not in self.tasks or spec["arm"]["name"] not in self.arms:
                problem = "its task or arm is not in the plan"
            else:
                expected = self.spec(spec["task"], spec["arm"]["name"], spec["rate"], spec["decay"],
                                     spec["seed"], spec["tuning"])
                wrong = [k for k in {**expected, **spec} if expected.get(k) != spec.get(k)]
                if wrong:
                    problem = (f"{wrong[0]} is {spec.get(wrong[0])}, the plan says "
                               f"{expected.get(wrong[0])}")
            if problem:
                raise ValueError(f"{folder}/{name}.json does not match the plan: {problem}; move it "
                                 "away, or name another folder with --runs")


def neighbours(point):
    rate, decay = point
    return [(_rounded(rate * RATE_FACTOR), decay), (_rounded(rate / RATE_FACTOR), decay),
            (rate, _rounded(decay * DECAY_FACTOR)), (rate, _rounded(decay / DECAY_FACTOR))]


def best(found):
    """Of the points whose held-out accuracy is within a standard error of the best, the one with the
    lowest held-out loss, which tells points apart that the few images cannot."""
    top = max(r["accuracy"] for r in found.values())
    held_out = next(iter(found.values()))["spec"]["held_out"]
    error = math.sqrt(top * (100 - top) / held_out)
    near = {p: r for p, r in found.items() if r["accuracy"] >= top - error}
    return min(near, key=lambda p: near[p]["judged_loss"])


def key(spec):
    """The name of a run's file."""
    name = f"{spec['task']}-{spec['arm']['name']}"
    if spec["tuning"]:
        return f"{name}-tune-r{spec['rate']:g}-d{spec['decay']:g}"
    return f"{name}-seed{spec['seed']}"


def load_runs(folder):
    """{key: record} of the finished runs in a folder."""
    records = {}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            record = json.loads(path.read_text())
            good = key(record["spec"]) == path.stem and record["history"]
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            raise ValueError(f"{path} is not a run of this program: remove it")
        records[path.stem] = record
    return records
