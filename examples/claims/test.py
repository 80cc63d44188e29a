#!/usr/bin/env python3
"""Tests of the experiment, on a few images and epochs.

    PYTHONPATH=<build>/python /usr/bin/python3 examples/claims/test.py
"""

import gzip
import json
import math
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

if sys.argv[1:] in (["-h"], ["--help"]):  # before what may be missing
    sys.exit(print(__doc__))

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import numpy as np
import torch

import arms
import data
import plan as plans
import report
from networks import NETWORKS
from train import train

QUICK = """
[task.small]
title = "quick"
data = "fashion-mnist"
pool = 4
network = "cnn"
epochs = 2
held_out = 100
[task.other]
title = "the same without tuning"
data = "fashion-mnist"
pool = 4
network = "resnet20"
epochs = 1
precision = "bfloat16"
held_out = 100
tuned_by = "small"
[tuning]
budget = 5
seed = 1000
[[arm]]
name = "fp32"
rate = 0.1
decay = 1e-4
[[arm]]
name = "s3_3bit"
format = "shift3"
surrogate = "direct"
deviation = 1e-3
rate = 1.0
decay = 1e-4
[[arm]]
name = "deepshift_ps_published"
published = true
rate = 0.01
decay = 1e-4
[primary]
task = "small"
first = "s3_3bit"
second = "fp32"
margin = -90.0
seeds = 2
[[secondary]]
claim = "published"
task = "small"
first = "s3_3bit"
second = "deepshift_ps_published"
margin = 0.0
seeds = 2
[[secondary]]
claim = "elsewhere"
task = "other"
first = "s3_3bit"
second = "fp32"
margin = 0.0
seeds = 1
"""


def write_idx(path, values):
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))


def write_fashion(folder, train_images=500, test_images=200):
    """Images whose class is where they are bright, so that a little training suffices."""
    random = np.random.default_rng(3)
    for part, n in [("train", train_images), ("t10k", test_images)]:
        labels = random.integers(10, size=n)
        images = random.integers(60, size=(n, 28, 28))
        for image, label in zip(images, labels):
            image[2 * label:2 * label + 8] += 150
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", labels)


class Arms(unittest.TestCase):
    def test_deepshift_q_rounds_the_exponent_and_passes_the_gradient_on(self):
        conv = arms.DeepShiftQ(20, 20, 3, 1)
        with torch.no_grad():
            conv.weight.mul_(torch.randn(conv.shape).exp())
        w, v = conv.discrete(), conv.weight.detach()
        power = v.abs().log2().round().clamp(-3, 0)
        self.assertTrue(torch.equal(w, v.sign() * 2**power))
        self.assertEqual(len(w.unique()), 8)
        g = torch.randn(conv.shape)
        w.backward(g)
        self.assertTrue(torch.equal(conv.weight.grad, g))
        published = arms.DeepShiftQ(2, 2, 3, 1, published=True)
        published.discrete()
        self.assertGreaterEqual(published.weight.abs().min().item(), 2**-3)

    def test_deepshift_ps_is_its_formula(self):
        conv = arms.DeepShiftPS(20, 20, 3, 1)
        w = conv.discrete()
        sign, shift = conv.sign.detach(), conv.shift.detach()
        self.assertTrue(torch.equal(w, sign.round() * 2**shift.round()))
        self.assertEqual(sorted(w.unique().tolist()), [-1, -0.5, -0.25, 0, 0.25, 0.5, 1])
        g = torch.randn(conv.shape)
        w.backward(g)
        self.assertTrue(torch.equal(conv.sign.grad, g))
        torch.testing.assert_close(conv.shift.grad, g * w.detach() * math.log(2))
        conv.add_decay(0.5)  # of 0.5/2 * 4^p
        torch.testing.assert_close(conv.shift.grad - g * w.detach() * math.log(2),
                                   0.5 * math.log(2) * 4**shift)
        with torch.no_grad():
            conv.sign.fill_(5), conv.shift.fill_(-9)
        conv.after_step()
        self.assertEqual((conv.sign.max().item(), conv.shift.min().item()), (1, -2))
        published = arms.DeepShiftPS(20, 20, 3, 1, published=True)
        with torch.no_grad():
            published.sign.mul_(40)
        published.after_step()
        self.assertGreater(published.sign.max().item(), 1)
        self.assertEqual(published.discrete().abs().max().item(), 0.5)
        self.assertLess(published.shift.min().item(), -2)

    def test_apot_has_seven_values_and_a_clip_that_learns(self):
        conv = arms.Apot(20, 20, 3, 1)
        with torch.no_grad():
            conv.clip.fill_(1.5)
        w = conv.discrete()
        v = (conv.weight - conv.weight.mean()) / conv.weight.std()
        levels = torch.tensor([-1, -0.5, -0.25, 0, 0.25, 0.5, 1]) * 1.5
        nearest = (v.detach().flatten()[:, None] - levels).abs().min(1).values
        torch.testing.assert_close((v - w).abs().flatten(), nearest)
        w.sum().backward()
        self.assertNotEqual(conv.clip.grad.item(), 0)

    def test_every_arm_of_the_plan_trains_a_step_and_has_the_values_that_it_names(self):
        for arm in plans.Plan().arms.values():
            torch.manual_seed(1)
            net = NETWORKS["cnn"](arms.layer(arm), 1)
            optimizer = arms.InnerOptimizer(arm, net, net.inner, arm["rate"], arm["decay"])
            before = [arms.weights(c) for c in net.inner]
            for _ in range(20):
                optimizer.zero_grad()
                net(torch.rand(32, 1, 7, 7)).square().mean().backward()
                optimizer.step(50.0)
            self.assertTrue(any(not torch.equal(a, arms.weights(c))
                                for a, c in zip(before, net.inner)), arm["name"])
            if arm["name"] != "fp32":
                values = max(len(arms.weights(c).unique()) for c in net.inner)
                self.assertLessEqual(values, 15, arm["name"])


class Data(unittest.TestCase):
    def test_what_is_wrong_with_a_file_is_said(self):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with self.assertRaisesRegex(ValueError, "no folder of cifar10"):
                data.load("cifar10", folder / "none")
            write_fashion(folder)
            self.assertEqual(data.load("fashion-mnist", folder)[0].shape, (500, 1, 28, 28))
            labels = folder / "train-labels-idx1-ubyte.gz"
            for content, word in [(labels.read_bytes()[:-9], "labels-idx1"),
                                  (gzip.compress(b"abc"), "not an IDX file")]:
                labels.write_bytes(content)
                with self.assertRaisesRegex(ValueError, word):
                    data.load("fashion-mnist", folder)
            write_idx(labels, np.full(500, 10))
            with self.assertRaisesRegex(ValueError, "a label is 10"):
                data.load("fashion-mnist", folder)
            for batch in ["test_batch", *(f"data_batch_{i}" for i in range(1, 6))]:
                (folder / f"{batch}.bin").write_bytes(bytes([7]) + bytes(range(256)) * 12)
            images, labels, *_ = data.load("cifar10", folder)
            self.assertEqual((images.shape, labels.tolist()), ((5, 3, 32, 32), [7] * 5))
            (folder / "data_batch_3.bin").write_bytes(bytes(3000))
            with self.assertRaisesRegex(ValueError, "data_batch_3.bin: 3000 bytes"):
                data.load("cifar10", folder)

    def test_crops_and_flips_are_parts_of_the_padded_image(self):
        images = torch.arange(1, 2 * 3 * 36 + 1).float().reshape(2, 3, 6, 6)
        moved = data.crop_and_flip(images, torch.Generator().manual_seed(4))
        padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
        for before, after in zip(padded, moved):
            parts = [before[:, y:y + 6, x:x + 6] for y in range(9) for x in range(9)]
            self.assertTrue(any(torch.equal(p, after) or torch.equal(p.flip(2), after)
                                for p in parts))


class Search(unittest.TestCase):
    def test_the_best_point_ends_up_inside(self):
        plan = plans.Plan()
        for peak in [(0.5, 3e-4), (4.0, 1e-5), (0.06, 3e-3)]:
            done = {}
            while (spec := plan.next_tuning("small", "fp32", done)) is not None:
                distance = (abs(math.log2(spec["rate"] / peak[0]))
                            + abs(math.log(spec["decay"] / peak[1], 3)))
                done[plans.key(spec)] = {"spec": spec, "accuracy": 90 - distance,
                                         "judged_loss": distance}
                self.assertLess(len(done), 60)
            self.assertGreaterEqual(len(done), plan.tuning["budget"])
            rate, decay = plan.settings("small", "fp32", done)
            points = {(r["spec"]["rate"], r["spec"]["decay"]) for r in done.values()}
            self.assertTrue(set(plans.neighbours((rate, decay))) <= points)
            self.assertLess(abs(math.log2(rate / peak[0])), 0.6)
            self.assertLess(abs(math.log(decay / peak[1], 3)), 0.6)


class Statistics(unittest.TestCase):
    def test_holm_by_hand(self):
        tests = [{"p": p, "verdict": "holds"} for p in (0.01, 0.04, 0.03)]
        tests.append({"verdict": "incomplete"})
        report.holm(tests)
        self.assertEqual([round(t.get("adjusted_p", 1), 6) for t in tests], [0.04, 0.09, 0.09, 1])
        self.assertEqual([t["verdict"] for t in tests],
                         ["holds", "undecided", "undecided", "incomplete"])

    def test_a_paired_difference_by_hand(self):
        records = {}
        for arm, accuracies in [("s3_3bit", [91, 92, 93, 94]), ("fp32", [90, 90, 90, 90])]:
            for seed, accuracy in enumerate(accuracies):
                right = np.arange(100) < accuracy
                records[f"{arm}{seed}"] = {
                    "spec": {"task": "small", "arm": {"name": arm}, "tuning": False, "seed": seed},
                    "accuracy": accuracy,
                    "right": report.base64.b64encode(
                        np.packbits(right, bitorder="little").tobytes()).decode()}
        c = report.compare(records, {"task": "small", "first": "s3_3bit", "second": "fp32",
                                     "margin": 0.0, "seeds": 4})
        self.assertEqual((c["difference"], c["verdict"]), (2.5, "holds"))
        half = 3.1824 * math.sqrt(5 / 3 / 4)
        np.testing.assert_allclose(c["interval"], [2.5 - half, 2.5 + half], atol=1e-3)
        self.assertLess(c["bootstrap_interval"][0], 2.5)


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        write_fashion(self.folder)
        (self.folder / "plan.toml").write_text(QUICK)

    def command(self, *arguments):
        return [sys.executable, str(HERE / "claims.py"), "--plan-file",
                str(self.folder / "plan.toml"), "--data", str(self.folder), "--runs",
                str(self.folder / "runs"), "--report", str(self.folder / "report"), "--parallel", "2",
                *arguments]

    def run_it(self, *arguments):
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=500)

    def files(self):
        return {p.name: p.read_text() for p in (self.folder / "runs").glob("*.json")}

    def test_interrupted_it_goes_on_and_reports(self):
        first = subprocess.Popen(self.command(), stdout=subprocess.PIPE, text=True)
        while len(self.files()) < 3 and first.poll() is None:
            time.sleep(0.1)
        first.send_signal(signal.SIGINT)
        self.assertEqual(first.wait(100), 130)
        kept = self.files()
        second = self.run_it()
        self.assertEqual(second.returncode, 0, second.stderr)
        done = self.files()
        self.assertEqual({k: done[k] for k in kept}, kept)
        self.assertIn("0 runs left", self.run_it("--plan").stdout)
        result = json.loads((self.folder / "report/claims.json").read_text())
        self.assertEqual(result["primary"]["seeds"], 2)
        self.assertNotEqual(result["primary"]["verdict"], "incomplete")
        for arm in result["arms"]:
            self.assertEqual(arm["seeds"], len(arm["accuracies"]))
        for name in ("claims.html", "claims.svg", "claims-small.svg"):
            self.assertIn("</", (self.folder / "report" / name).read_text())

        rounded = self.folder / "runs/other-fp32-seed1.json"
        rounded.write_text(rounded.read_text().replace('"bfloat16"', '"float32"'))
        self.assertIn("precision is float32, the plan says bfloat16", self.run_it().stderr)
        rounded.write_text(done[rounded.name])
        run = self.folder / "runs/small-fp32-seed1.json"
        run.write_text(run.read_text().replace('"epochs":2', '"epochs":3'))
        changed = self.files()
        refused = self.run_it()
        self.assertIn("epochs is 3, the plan says 2", refused.stderr)
        self.assertEqual(self.files(), changed)
        run.write_text("nonsense")
        self.assertIn("is not a run of this program", self.run_it().stderr)

    def test_an_unknown_precision_is_refused(self):
        path = self.folder / "plan.toml"
        path.write_text(QUICK.replace('"bfloat16"', '"float8"'))
        self.assertIn("precision of task other is float8; it is float32 or bfloat16",
                      self.run_it().stderr)

    def test_in_bfloat16_parameters_are_float32_and_learn_about_the_same(self):
        plan = plans.Plan(self.folder / "plan.toml")
        images = data.load("fashion-mnist", self.folder, 4)
        for name in ("s3_3bit", "fp32"):
            spec = plan.spec("small", name, 0.1, 1e-4, 7)
            types = set()
            rounded = train(dict(spec, precision="bfloat16"), images,
                            trained=lambda net: types.update(p.dtype for p in net.parameters()))
            whole = train(spec, images)
            self.assertEqual(types, {torch.float32})
            self.assertNotEqual(rounded["history"], whole["history"])
            self.assertAlmostEqual(rounded["loss"], whole["loss"], delta=0.05)

    def test_from_a_checkpoint_the_same_bits_follow(self):
        plan = plans.Plan(self.folder / "plan.toml")
        images = data.load("fashion-mnist", self.folder, 4)
        for name in ("s3_3bit", "fp32", "deepshift_ps_published"):
            spec = plan.spec("small", name, 0.1, 1e-4, 7)
            whole = train(spec, images)
            checkpoint, asked = str(self.folder / "one.pt"), iter([False, True])
            self.assertIsNone(train(spec, images, checkpoint, stop=lambda: next(asked)))
            resumed = train(spec, images, checkpoint)
            self.assertEqual(whole["history"], resumed["history"])
            self.assertEqual(whole["right"], resumed["right"])
            with self.assertRaisesRegex(ValueError, "other settings"):
                train(dict(spec, rate=0.2), images, checkpoint)
            os.remove(checkpoint)


if __name__ == "__main__":
    unittest.main(verbosity=2)
