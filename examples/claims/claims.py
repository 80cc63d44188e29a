#!/usr/bin/env python3
"""Puts the claims about shift networks to the test: does 3-bit S3 reach full precision, and what else
does? Trains what plan.toml says, every run a JSON file; stop it whenever you like, the next call goes
on where it was, within an epoch.

  plan.toml    tasks, arms, comparisons          plan.py      which run is next
  data.py      images                            networks.py  a CNN, ResNet-20
  arms.py      S3 and its rivals                 train.py     one run
  report.py    statistics, table, plots
"""

import argparse
import json
import multiprocessing
import os
import queue
import signal
import sys
import time
from pathlib import Path

from plan import Plan, key, load_runs


def work(todo, done, stop, data_folders, runs, device):
    """A process that trains what it is sent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch
    from data import load
    from train import train
    torch.set_num_threads(1)
    loaded = None, None
    while (spec := todo.get()) is not None:
        name = key(spec)
        try:
            which = spec["data"], spec["pool"]
            if loaded[0] != which:
                loaded = which, load(spec["data"], data_folders.get(spec["data"]), spec["pool"])
            checkpoint = f"{runs}/{name}.pt"
            record = train(spec, loaded[1], checkpoint, lambda e: done.put((name, "epoch", e)),
                           stop.is_set, device)
            if record:
                part = Path(f"{runs}/{name}.json.part")
                part.write_text(json.dumps(record, separators=(",", ":")) + "\n")
                part.replace(f"{runs}/{name}.json")
                Path(checkpoint).unlink(missing_ok=True)
            done.put((name, "end", record))
        except Exception as error:
            done.put((name, "error", f"{name}: {error}"))


class Progress:
    """A line per finished run and, on a terminal, one that shows what is running."""

    def __init__(self, plan, tasks, parallel):
        self.plan, self.tasks, self.parallel = plan, tasks, parallel
        self.running, self.terminal = {}, sys.stdout.isatty()

    def left(self, records):
        seconds = 0.0
        for task, epochs in self.plan.count_left(records, self.tasks).items():
            paces = [r["seconds"] / r["spec"]["epochs"] for r in records.values()
                     if r["spec"]["task"] == task]
            seconds += epochs * (sum(paces) / len(paces) if paces else 20.0)
        seconds /= self.parallel
        return f"{int(seconds / 3600)}:{int(seconds / 60) % 60:02d} h left"

    def finished(self, name, record, records):
        start = "\r\033[K" if self.terminal else ""
        print(f"{start}{name:46} {record['accuracy']:6.2f}%  "
              f"loss {record['loss']:.4f}  {record['seconds']:5.0f} s  {self.left(records)}",
              flush=True)

    def draw(self):
        if self.terminal:
            line = "   ".join(f"{name} {epoch}" for name, epoch in self.running.items())
            print(f"\r\033[K{line[:150]}", end="", flush=True)


def run_all(plan, tasks, options):
    runs = Path(options.runs)
    runs.mkdir(parents=True, exist_ok=True)
    records = load_runs(runs)
    plan.check(records, runs)
    context = multiprocessing.get_context("spawn")
    todo, done, stop = context.Queue(), context.Queue(), context.Event()
    folders = {"fashion-mnist": options.data, "cifar10": options.cifar}
    workers = [context.Process(target=work, args=(todo, done, stop, folders, str(runs),
                                                  options.device), daemon=True)
               for _ in range(options.parallel)]
    for w in workers:
        w.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    progress = Progress(plan, tasks, options.parallel)
    started, problem = {}, None
    deadline = time.monotonic() + options.minutes * 60 if options.minutes else None
    while True:
        while not stop.is_set() and len(started) < options.parallel:
            spec = plan.next_run(records, started, tasks)
            if spec is None:
                break
            started[key(spec)] = spec
            progress.running[key(spec)] = 0
            todo.put(spec)
        if not started:
            break
        try:
            name, what, value = done.get(timeout=1)
        except queue.Empty:
            if deadline and time.monotonic() > deadline:
                stop.set()
            if not all(w.is_alive() for w in workers):
                problem = "a training process ended by itself"
                break
            continue
        if what == "epoch":
            progress.running[name] = value
        else:
            del started[name], progress.running[name]
            if what == "error":
                problem = value
                stop.set()
            elif value:
                records[name] = value
                progress.finished(name, value, records)
        progress.draw()
    for _ in workers:
        todo.put(None)
    for w in workers:
        w.join(timeout=60)
    if problem:
        sys.exit(f"claims: {problem}")
    return records, stop.is_set()


def _at_least_one(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", help="a task of the plan; all by default")
    parser.add_argument("--plan", action="store_true", help="print what is left, train nothing")
    parser.add_argument("--report-only", action="store_true", help="report on what is there")
    parser.add_argument("--plan-file", default=str(Path(__file__).parent / "plan.toml"))
    parser.add_argument("--runs", default="build/claims", help="folder of the finished runs")
    parser.add_argument("--report", default="build/report", help="folder of claims.json and plots")
    parser.add_argument("--data", help="folder of Fashion-MNIST's .gz files")
    parser.add_argument("--cifar", help="folder of CIFAR-10's binary batches")
    parser.add_argument("--parallel", type=_at_least_one, default=min(8, os.cpu_count() or 1),
                        help="runs at a time, one thread each (default: %(default)s)")
    parser.add_argument("--minutes", type=float, help="stop after so many, at the end of an epoch")
    parser.add_argument("--device", default="cpu", help="a torch device (default: %(default)s)")
    options = parser.parse_args()
    try:
        plan = Plan(options.plan_file)
        tasks = options.task or list(plan.tasks)
        for task in tasks:
            if task not in plan.tasks:
                raise ValueError(f"--task is {task}; the plan has {', '.join(plan.tasks)}")
        if options.plan or options.report_only:
            records, stopped = load_runs(options.runs), False
            plan.check(records, options.runs)
        else:
            records, stopped = run_all(plan, tasks, options)
        if options.plan:
            for task, epochs in plan.count_left(records, tasks).items():
                print(f"{task:10} {epochs // plan.tasks[task]['epochs']:4} runs left of "
                      f"{plan.tasks[task]['epochs']} epochs")
            print(Progress(plan, tasks, options.parallel).left(records))
            return
        from report import write_report
        print(write_report(plan, records, Path(options.report)))
        sys.exit(130 if stopped else 0)
    except (ValueError, OSError) as error:
        sys.exit(f"claims: {error}")


if __name__ == "__main__":
    main()
