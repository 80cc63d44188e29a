"""Tests of s3.linear and s3.convert_linear against the definition of the rounding, in NumPy.

    PYTHONPATH=<build>/python /usr/bin/python3 tests/python/test_linear.py
"""

import copy
import io
import itertools
import pickle
import threading
import unittest

import numpy as np
import s3
import torch
from torch import nn

RANDOM = np.random.default_rng(7)


def weights(m, k):
    return (RANDOM.standard_normal((m, k)) * RANDOM.uniform(0.01, 0.1, (m, 1))).astype(np.float32)


def definition(layer, x, grouped=False):
    """y by its definition: float32, one group after the other, each operation rounded on its own."""
    f = np.float32
    w, scale = layer.values.astype(np.int64), layer.scale
    group = layer.group or layer.in_features
    y = np.zeros((len(x), layer.out_features), f)
    for n, row in enumerate(x):
        parts = row.reshape(-1, group) if grouped else row[None]
        most = np.abs(parts).max(axis=1).astype(f)
        tiny = most < f(2.0**-100)
        factor = np.where(tiny, f(0), f(127) / np.where(tiny, f(1), most))
        q = np.rint((parts * factor[:, None]).astype(f)).astype(np.int64).reshape(-1, group)
        x_scale = np.where(tiny, f(1), most / f(127)).astype(f)
        total = np.zeros(layer.out_features, f)
        for g in range(layer.in_features // group):
            sums = w[:, g * group:(g + 1) * group] @ q.reshape(-1)[g * group:(g + 1) * group]
            factors = scale[:, g] * x_scale[g] if grouped else scale[:, g]
            total = total + sums.astype(f) * factors
        y[n] = total if grouped else total * x_scale[0]
    return y + layer.bias if layer.bias.size else y


class Layers(unittest.TestCase):
    def test_outputs_are_the_definition(self):
        for format, group, bias, grouped in itertools.product(
                ("shift2", "shift3", "dense4", "int8"), (None, 32, 128), (False, True), (False, True)):
            if grouped and group is None:
                continue
            b = RANDOM.standard_normal(19).astype(np.float32) if bias else None
            layer = s3.linear(weights(19, 256), format=format, group=group, bias=b, batch=3,
                              grouped_activations=grouped)
            x = RANDOM.standard_normal((5, 256)).astype(np.float32)
            x[3] = 0
            expected = definition(layer, x, grouped)
            np.testing.assert_array_equal(layer(x), expected, f"{layer} {bias} {grouped}")

    def test_every_set_and_number_of_threads_gives_the_same_bits(self):
        w, x = weights(70, 512), RANDOM.standard_normal((9, 512)).astype(np.float32)
        expected = s3.linear(w)(x)
        for name in s3.instruction_sets():
            for threads, batch in ((1, 1), (2, 4), (3, 16)):
                try:
                    layer = s3.linear(w, threads=threads, batch=batch, instruction_set=name)
                except s3.Error as error:
                    self.assertIn("options.set", str(error))
                    continue
                self.assertEqual(layer.instruction_set, name)
                np.testing.assert_array_equal(layer(x), expected)

    def test_arrays_in_are_arrays_out(self):
        w = weights(8, 64)
        layer = s3.linear(torch.from_numpy(w).requires_grad_(), group=64)
        x = RANDOM.standard_normal((2, 3, 64)).astype(np.float32)
        y = layer(x)
        self.assertEqual((y.shape, y.dtype), ((2, 3, 8), np.float32))
        np.testing.assert_array_equal(layer(x[1, 2]), y[1, 2])
        np.testing.assert_array_equal(layer(x.astype(np.float64)[:, ::2]), y[:, ::2])
        t = layer(torch.from_numpy(x))
        self.assertIsInstance(t, torch.Tensor)
        np.testing.assert_array_equal(t.numpy(), y)
        self.assertEqual(layer(x[:0]).shape, (0, 3, 8))

    def test_weights_are_near_those_given(self):
        w = weights(16, 256)
        errors = [np.square(w - s3.linear(w, bits, group).weight).sum() / np.square(w).sum()
                  for bits in (2, 3, 8) for group in (None, 32)]
        self.assertTrue(errors[0] > errors[1] > errors[2] > errors[3] > errors[4] > errors[5], errors)
        self.assertLess(errors[5], 1e-4)
        self.assertEqual(s3.linear(w, 3, 128).bits_per_weight, 3 + 16 / 128)
        powers = s3.linear(w, scales="powers of two", stored="bfloat16")
        np.testing.assert_array_equal(np.log2(powers.scale) % 1, 0)

    def test_layers_without_columns(self):
        y = s3.linear(np.zeros((3, 0), np.float32), group=None)(np.zeros((2, 5, 0), np.float32))
        self.assertTrue(np.array_equal(y, np.zeros((2, 5, 3), np.float32)))

    def test_layers_are_copied_and_pickled(self):
        layer = s3.linear(weights(8, 128), bias=np.ones(8))
        x = RANDOM.standard_normal(128).astype(np.float32)
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            np.testing.assert_array_equal(twin(x), layer(x))

    def test_threads_of_python_share_a_layer(self):
        layer = s3.linear(weights(64, 256), batch=4)
        x = [RANDOM.standard_normal((7, 256)).astype(np.float32) for _ in range(8)]
        expected, found = [layer(v) for v in x], [None] * len(x)

        def work(i):
            for _ in range(20):
                found[i] = layer(x[i])
        workers = [threading.Thread(target=work, args=(i,)) for i in range(len(x))]
        for step in (threading.Thread.start, threading.Thread.join):
            for worker in workers:
                step(worker)
        for a, b in zip(found, expected):
            np.testing.assert_array_equal(a, b)

    def test_what_is_refused_is_named(self):
        w = weights(4, 96)
        x = np.zeros(96, np.float32)
        nan = w.copy()
        nan[1, 5] = np.nan
        layer = s3.linear(w, group=32)
        for name, call in {
                "bits": lambda: s3.linear(w, bits=6, group=32),
                "format": lambda: s3.linear(w, format="int5", group=32),
                "group": lambda: s3.linear(w),
                "group: must": lambda: s3.linear(w, group=0),
                "group: a whole": lambda: s3.linear(w, group=32.0),
                "weight: shape": lambda: s3.linear(w[0], group=32),
                "weight: an array of floats": lambda: s3.linear(w.astype(int), group=32),
                "weights[101]": lambda: s3.linear(nan, group=32),
                "scales": lambda: s3.linear(w, group=32, scales="log"),
                "stored": lambda: s3.linear(w, group=32, stored="float8"),
                "scale[0]": lambda: s3.linear(w * 1e30, group=32),
                "batch": lambda: s3.linear(w, group=32, batch=0),
                "threads": lambda: s3.linear(w, group=32, threads=0),
                "grouped_activations": lambda: s3.linear(w, group=None, grouped_activations=True),
                "options.set": lambda: s3.linear(w, group=32, instruction_set="avx9"),
                "bias: shape": lambda: s3.linear(w, group=32, bias=np.zeros(3)),
                "bias: its": lambda: s3.linear(w, group=32, bias=np.full(4, np.inf)),
                "x: shape": lambda: layer(x[1:]),
                "x: an array of floats": lambda: layer(x.astype(int)),
                "x[0]": lambda: layer(x + np.inf),
        }.items():
            with self.assertRaises(s3.Error, msg=name) as raised:
                call()
            self.assertIn(name, str(raised.exception))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 128)
        self.up, self.down = nn.Linear(128, 256), nn.Linear(256, 128, bias=False)
        self.shared = self.down
        self.odd, self.head = nn.Linear(128, 40), nn.Linear(40, 10)

    def forward(self, tokens):
        x = self.embedding(tokens)
        x = x + self.shared(torch.relu(self.up(x)))
        return self.head(self.odd(x))


class Modules(unittest.TestCase):
    def convert(self, **options):
        torch.manual_seed(3)
        model = Block().eval()
        return copy.deepcopy(model), *s3.convert_linear(model, **options)

    def test_layers_are_replaced_and_the_others_told(self):
        before, model, report = self.convert(keep=["odd"])
        told = {row[0]: row[4] for row in report.rows}
        self.assertEqual(set(told), {"embedding", "up", "down", "odd", "head"})
        self.assertEqual((told["up"], told["down"], told["odd"]), ("", "", "was kept"))
        self.assertIn("Embedding", told["embedding"])
        self.assertIn("group", told["head"])
        self.assertIs(model.shared, model.down)
        self.assertIs(type(model.head), nn.Linear)
        with self.assertRaises(s3.Error) as raised:
            s3.convert_linear(before, keep=["nowhere"])
        self.assertIn("keep", str(raised.exception))

    def test_outputs_are_the_definition(self):
        before, model, _ = self.convert()
        tokens = torch.arange(10)
        with torch.no_grad():
            x = before.embedding(tokens)
            up = torch.from_numpy(definition(model.up.layer, x.numpy()))
            x = x + torch.from_numpy(definition(model.down.layer, torch.relu(up).numpy()))
            odd = torch.from_numpy(definition(model.odd.layer, x.numpy()))
            self.assertTrue(torch.equal(model(tokens), before.head(odd)))
            exact = before(tokens)
            self.assertLess((model(tokens) - exact).norm(), 0.5 * exact.norm())

    def test_layers_with_hooks_are_left(self):
        model = nn.Sequential(nn.Linear(64, 64), nn.utils.weight_norm(nn.Linear(64, 64)))
        model[0].register_forward_hook(lambda module, inputs, y: y * 10)
        _, report = s3.convert_linear(model, bits=8, group=32)
        self.assertEqual(repr(report).count("it has hooks"), 2)

    def test_gradients_are_refused(self):
        _, model, _ = self.convert()
        with self.assertRaises(s3.Error) as raised:
            model(torch.arange(3))
        self.assertIn("no_grad", str(raised.exception))

    def test_states_and_copies(self):
        _, model, _ = self.convert()
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        torch.manual_seed(4)
        other, _ = s3.convert_linear(Block().eval())
        tokens = torch.arange(10)
        with torch.no_grad():
            self.assertFalse(torch.equal(other(tokens), model(tokens)))
            other.load_state_dict(torch.load(file))
            self.assertTrue(torch.equal(other(tokens), model(tokens)))
            self.assertTrue(torch.equal(copy.deepcopy(model)(tokens), model(tokens)))

    def test_one_layer_alone_and_transformers(self):
        layer, report = s3.convert_linear(nn.Linear(64, 8).double(), bits=8, group=None)
        with torch.no_grad():
            self.assertEqual(layer(torch.ones(2, 64, dtype=torch.float64)).dtype, torch.float64)
        encoder, report = s3.convert_linear(nn.TransformerEncoderLayer(128, 4, batch_first=True).eval())
        with torch.no_grad():
            encoder(torch.randn(1, 5, 128))
        self.assertIn("read by TransformerEncoderLayer", {r[0]: r[4] for r in report.rows}["linear1"])


if __name__ == "__main__":
    unittest.main()
