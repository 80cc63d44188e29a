"""Tests of s3.torch against the definitions written in plain PyTorch.

    PYTHONPATH=<build>/python /usr/bin/python3 tests/python/test_torch.py
"""

import copy
import io
import math
import os
import socket
import subprocess
import sys
import tempfile
import unittest

import s3.torch
import torch
import torch.distributed as dist
from s3.torch import _s3, plain
from torch import nn

FORMATS = ["shift2", "shift3", "shift4", "dense2", "dense3", "dense4"]


def through(value, x):
    """`value` forward, identity in x backward."""
    return value.detach() + (x - x.detach())


def definition(format, fields):
    """The re-parameterization as its authors wrote it."""
    dense = format.startswith("dense")
    H = lambda x: through((x > 0).float(), x)
    sign = through(torch.where(fields[0] >= 0, 1.0, -1.0), fields[0])
    s = torch.zeros_like(fields[0])
    for l in fields[1 if dense else 2:]:
        s = H(l) * (s + 1)
    if dense:
        root = sign * torch.sqrt(s + 1)
        return through(sign.detach() * 2 ** s.detach(), root)
    return sign * H(fields[1]) * 2 ** s


def latents(format, shape=(7, 5, 3, 3), seed=0):
    torch.manual_seed(seed)
    return [torch.randn(shape, requires_grad=True) for _ in _s3.names(format)]


class Formulas(unittest.TestCase):
    def test_forward_and_gradients_are_the_definitions(self):
        for format in FORMATS:
            fields = latents(format)
            g = torch.randn(fields[0].shape)
            ours, theirs = s3.torch.realize(format, fields), definition(format, fields)
            self.assertTrue(torch.equal(ours, theirs), format)
            for a, b in zip(torch.autograd.grad(ours, fields, g),
                            torch.autograd.grad(theirs, fields, g)):
                torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)

    def test_absmean(self):
        v = torch.randn(6, 9, requires_grad=True)
        scale = v.detach().abs().mean()
        expected = scale * (v.detach() / (scale + 1e-5)).round().clamp(-1, 1)
        w = s3.torch.realize("absmean", [v])
        torch.testing.assert_close(w, expected)
        w.backward(torch.ones_like(w))
        self.assertTrue(torch.equal(v.grad, torch.ones_like(v)))

    def test_estimators(self):
        for format in FORMATS:
            fields = latents(format)
            g = torch.randn(fields[0].shape)
            identity, clipped, ewgs = (
                _s3.backward(format, fields, g, "flat", s3.torch.Estimator(*e))
                for e in [(), ("clipped", 0.5), ("ewgs", 0.2)])
            for x, d, c in zip(fields, identity, clipped):
                self.assertTrue(torch.equal(c, torch.where(x.abs() <= 0.5, d, torch.zeros(()))))
            q = torch.where(fields[0] >= 0, 1.0, -1.0)
            torch.testing.assert_close(
                ewgs[0], identity[0] * (1 + 0.2 * identity[0].sign() * (fields[0] - q)))

    def test_estimators_have_parameters_of_their_own(self):
        for name, parameter in [("identity", 0), ("clipped", 1), ("ewgs", 1e-3)]:
            self.assertAlmostEqual(s3.torch.Estimator(name).parameter, parameter)
        self.assertEqual(s3.torch.Estimator("clipped", 0.5).parameter, 0.5)
        with self.assertRaisesRegex(RuntimeError, "no estimator is named clip"):
            s3.torch.Estimator("clip")

    def test_there_are_no_second_derivatives(self):
        fields = latents("shift3")
        grad, *_ = torch.autograd.grad(s3.torch.realize("shift3", fields).square().sum(), fields,
                                       create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "once_differentiable"):
            grad.sum().backward()

    def test_surrogates(self):
        for format in FORMATS:
            fields = latents(format)
            g = torch.randn(fields[0].shape)
            w = _s3.realize(format, fields)
            for surrogate in ["authors", "square_root", "flat"]:
                sign = _s3.backward(format, fields, g, surrogate, s3.torch.Estimator())[0]
                root = torch.sqrt(torch.log2(w.abs()) + 1)
                factor = dict(authors=w.abs(), square_root=root, flat=torch.ones(()))[surrogate]
                torch.testing.assert_close(sign, torch.where(w == 0, torch.zeros(()), g * factor))
            direct = _s3.backward(format, fields, g, "direct", s3.torch.Estimator())
            self.assertTrue(torch.equal(direct[0], g))
            dense = format.startswith("dense")
            for name, meant in [("published", "square_root" if dense else "authors"),
                                ("recommended", "square_root" if dense else "direct")]:
                for a, b in zip(*(_s3.backward(format, fields, g, surrogate, s3.torch.Estimator())
                                  for surrogate in [name, meant])):
                    self.assertTrue(torch.equal(a, b))
        with self.assertRaisesRegex(RuntimeError, "no surrogate is named sharp"):
            s3.torch.ShiftLinear(2, 2, surrogate="sharp")
        with self.assertRaisesRegex(RuntimeError, "absmean has no surrogates"):
            s3.torch.ShiftLinear(2, 2, format="absmean", surrogate="flat")

    def test_non_contiguous_is_served_and_the_rest_refused_by_name(self):
        fields = [f.detach().transpose(0, 1) for f in latents("shift3")]
        self.assertTrue(torch.equal(_s3.realize("shift3", fields), definition("shift3", fields)))
        for bad, word in [(fields[1].double(), "sparse is torch.float64|sparse must be float32"),
                          (fields[1][:2], "sparse is")]:
            with self.assertRaisesRegex(RuntimeError, word):
                _s3.realize("shift3", [fields[0], bad, *fields[2:]])
        with self.assertRaisesRegex(RuntimeError, "grad_weights"):
            _s3.backward("shift3", fields, torch.zeros(3), "authors", s3.torch.Estimator())
        with self.assertRaisesRegex(RuntimeError, "4 latents, not 3"):
            _s3.realize("shift3", fields[:3])
        with self.assertRaisesRegex(RuntimeError, "no format is named int3"):
            _s3.realize("int3", fields)


class Plain(unittest.TestCase):
    """Torch operations, which serve what the compiled passes do not."""

    surrogates = ["authors", "square_root", "flat", "direct", "recommended"]

    def test_the_bits_of_the_compiled_passes(self):
        for format in FORMATS:
            fields = [f.detach() for f in latents(format, (13, 11))]
            g = torch.randn(13, 11)
            self.assertTrue(torch.equal(plain.realize(format, fields),
                                        _s3.realize(format, fields)))
            for surrogate in self.surrogates:
                for e in [(), ("clipped", 0.5), ("ewgs", 0.2)]:
                    e = s3.torch.Estimator(*e)
                    for a, b in zip(plain.backward(format, fields, g, surrogate, e),
                                    _s3.backward(format, fields, g, surrogate, e)):
                        self.assertTrue(torch.equal(a, b), (format, surrogate, e.name))

    def test_optimizers_give_the_same_bits(self):
        sgd = [("sgd_step", (0.3, 0.9, 1e-2, nesterov)) for nesterov in (False, True)]
        adam = [("adam_step", (0.02, 0.9, 0.999, 1e-8, 1e-2, decoupled))
                for decoupled in (False, True)]
        for format in FORMATS:
            for surrogate in ["published", "direct"]:
                for name, settings in sgd + adam:
                    results = []
                    for passes in (plain, _s3):
                        fields = [f.detach() for f in latents(format, (9, 7))]
                        moments = [[torch.zeros_like(f) for f in fields]
                                   for _ in range(2 if name == "adam_step" else 1)]
                        w = torch.empty(9, 7)
                        for number in range(1, 6):
                            g = torch.randn(9, 7, generator=torch.Generator().manual_seed(number))
                            count = (number,) if name == "adam_step" else ()
                            getattr(passes, name)(*settings, *count, format, fields, moments, g,
                                                  w, 1e-3, surrogate, s3.torch.Estimator())
                        results.append([w, *fields, *sum(moments, [])])
                    for a, b in zip(*results):
                        self.assertTrue(torch.equal(a, b), (format, surrogate, name))

    def test_the_rest_is_the_same(self):
        weights = torch.randn(8, 6) * torch.randn(8, 6).exp()
        for format in FORMATS:
            ours, theirs = ([torch.zeros(8, 6) for _ in _s3.names(format)] for _ in range(2))
            self.assertEqual(plain.initialize_from(format, weights, ours),
                             _s3.initialize_from(format, weights, theirs))
            for a, b in zip(ours, theirs):
                self.assertTrue(torch.equal(a, b))
            for strength in (1e-3, -1e-3):
                a, b = torch.ones(8, 6), torch.ones(8, 6)
                plain.add_dense_gradient(weights, a, strength)
                _s3.add_dense_gradient(weights, b, strength)
                self.assertTrue(torch.equal(a, b))
            self.assertEqual(plain.strength_for_share(weights, 0.7, 0.1),
                             _s3.strength_for_share(weights, 0.7, 0.1))
        v = torch.randn(50)
        torch.testing.assert_close(plain.realize("absmean", [v]), _s3.realize("absmean", [v]))

    def test_other_types_train_and_export(self):
        for dtype in (torch.float64, torch.bfloat16):
            model, xs, ys = model_and_data("shift3", "flat")
            model.to(dtype)
            before = [f.clone() for f in model[0].fields()]
            fit(model, [s3.torch.FusedSGD(model, 0.5),
                        torch.optim.SGD(s3.torch.other_parameters(model), 0.1)], xs.to(dtype), ys)
            self.assertFalse(all(torch.equal(a, b) for a, b in zip(before, model[0].fields())))
            self.assertTrue(torch.equal(s3.torch.unpack("shift3", s3.torch.export(model)["0"]),
                                        model[0].discrete().float()))
            s3.torch.validate(model)

    def test_under_autocast_latents_stay_float32(self):
        model, xs, ys = model_and_data()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(xs[0]), ys[0])
        loss.backward()
        self.assertTrue(all(f.grad.dtype == torch.float32 for f in model[0].fields()))

    def test_what_does_not_fit_is_named(self):
        fields = [torch.zeros(3, dtype=torch.float64) for _ in range(4)]
        elsewhere = [*fields[:2], torch.zeros(3, dtype=torch.float64, device="meta"), fields[3]]
        for bad, word in [(elsewhere, "shift_1 is on meta where sign is on cpu"),
                          ([*fields[:3], torch.zeros(3)], "shift_2 is torch.float32"),
                          (fields[:3], "shift3 has 4 latents, not 3"),
                          ([*fields[:3], torch.zeros(4, dtype=torch.float64)], "shift_2 is .4."),
                          ([*fields[:3], fields[3] + torch.tensor([0, math.nan, 0])],
                           "shift_2.1.: value is not finite")]:
            with self.assertRaisesRegex(RuntimeError, word):
                s3.torch.realize("shift3", bad)


    def test_numbers_beyond_a_type_are_named_or_bounded(self):
        model = nn.Sequential(s3.torch.ShiftLinear(4, 3)).double()
        adam = s3.torch.FusedAdam(model)
        model[0].discrete_weight.grad = torch.full((3, 4), 1e160, dtype=torch.float64)
        with self.assertRaisesRegex(RuntimeError, r"moments\[\d+\]: value is not finite"):
            adam.step()
        half = [torch.empty(2, dtype=torch.float16) for _ in _s3.names("dense4")]
        plain.initialize_from("dense4", torch.tensor([1500.0, -1500.0], dtype=torch.float16), half)
        plain.validate("dense4", half)
        empty = [torch.empty(0, 3, dtype=torch.float64) for _ in range(4)]
        self.assertEqual(plain.initialize_from("shift3", empty[0], empty), 0)

    def test_absmean_is_checked_as_other_formats_are(self):
        for dtype in (torch.float32, torch.float64):
            latent = torch.tensor([1.0, math.nan, 2.0], dtype=dtype)
            with self.assertRaisesRegex(RuntimeError, "latent.1.: value is not finite"):
                s3.torch.realize("absmean", [latent])
            layer = s3.torch.ShiftLinear(3, 1, format="absmean").to(dtype)
            with self.assertRaisesRegex(RuntimeError, "weights.1.: value is not finite"):
                layer.initialize_from(latent[None])
            with self.assertRaisesRegex(RuntimeError, "weights is .3. where"):
                layer.initialize_from(latent)


class Operators(unittest.TestCase):
    RULE = "shift3", "direct", "identity", 0.0

    def test_they_have_shapes_without_data(self):
        latents = [torch.empty(4, 3, device="meta") for _ in range(4)]
        self.assertEqual(torch.ops.s3.realize(latents, *self.RULE).shape, (4, 3))
        grads = torch.ops.s3.backward(latents, latents[0], *self.RULE)
        self.assertEqual([g.device.type for g in grads], ["meta"] * 4)

    def test_a_layer_is_traced_as_one(self):
        layer = s3.torch.ShiftLinear(5, 3)
        x = torch.randn(4, 5)
        traced = torch.jit.trace(layer, x)
        self.assertIn("s3::realize", str(traced.inlined_graph))
        with torch.no_grad():
            layer.weight.neg_()  # the latents are read anew, not kept as constants
        self.assertTrue(torch.equal(traced(x), layer(x)))


class Layers(unittest.TestCase):
    def test_conv_takes_all_options(self):
        x = torch.randn(2, 4, 9, 8)
        for options in [dict(), dict(stride=2, padding=1), dict(dilation=2, groups=2, bias=False),
                        dict(padding="same", padding_mode="reflect"), dict(padding=(1, 2),
                        padding_mode="circular")]:
            layer = s3.torch.ShiftConv2d(4, 6, 3, format="shift4", **options)
            conv = nn.Conv2d(4, 6, 3, **options)
            conv.weight.data, conv.bias = definition("shift4", layer.fields()).detach(), layer.bias
            self.assertTrue(torch.equal(layer(x), conv(x)), options)
            layer(x).sum().backward()
            self.assertTrue(all(f.grad is not None for f in layer.fields()))

    def test_linear(self):
        for format in FORMATS + ["absmean"]:
            layer = s3.torch.ShiftLinear(5, 3, format=format)
            x = torch.randn(4, 5)
            w = _s3.realize(format, layer.fields())
            self.assertTrue(torch.equal(layer(x), nn.functional.linear(x, w, layer.bias)))

    def test_convert_says_what_it_left_in_float(self):
        class Speech(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.conv = nn.Conv1d(4, 8, 3), nn.Conv1d(8, 8, 3, groups=2, dilation=2)
                self.up, self.memory = nn.ConvTranspose1d(8, 8, 2), nn.LSTM(8, 8)
                self.words, self.norm = nn.Embedding(3, 4), nn.BatchNorm1d(8)
                self.attention, self.last = nn.MultiheadAttention(8, 2), nn.Linear(8, 2)
        model = Speech()
        with self.assertWarnsRegex(UserWarning, "memory .LSTM has no shift layer"):
            s3.torch.convert(model)
        self.assertIsInstance(model.conv, s3.torch.ShiftConv1d)
        x = torch.randn(2, 8, 12)
        self.assertTrue(torch.equal(model.conv(x), nn.functional.conv1d(
            x, model.conv.discrete(), model.conv.bias, dilation=2, groups=2)))
        left = s3.torch.left_in_float(model)
        self.assertEqual({"first", "up", "memory", "attention", "attention.out_proj", "last"},
                         set(left))
        self.assertEqual((left["first"], left["up"]),
                         ("was kept", "ConvTranspose1d has no shift layer"))
        self.assertEqual(len(s3.torch.unpack("shift3", s3.torch.export(model)["conv"])), 8)

    def test_convert_keeps_type_and_what_is_frozen(self):
        model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(4))).double()
        model[1].weight.requires_grad_(False)
        s3.torch.convert(model, trained=True)
        self.assertEqual(model(torch.zeros(1, 4, dtype=torch.float64)).dtype, torch.float64)
        self.assertEqual([any(f.requires_grad for f in layer.fields()) for layer in model[1:3]],
                         [False, True])

    def test_transformers_in_evaluation(self):
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        model, x = nn.TransformerEncoder(layer, 3), torch.randn(2, 5, 16)
        s3.torch.convert(model)
        model.eval()
        with torch.no_grad():
            without = model(x)
        torch.testing.assert_close(without, model(x).detach(), rtol=1e-4, atol=1e-5)
        kept = nn.Sequential(nn.TransformerEncoderLayer(16, 2, 32), nn.Linear(4, 4))
        s3.torch.convert(kept, keep=["0.linear1", "0.linear2"])
        self.assertNotEqual(kept[0].activation_relu_or_gelu, 0)

    def test_layers_without_weights(self):
        for sizes in [(0, 3), (3, 0), (0, 0)]:
            layer = s3.torch.ShiftLinear(*sizes)
            layer(torch.zeros(2, sizes[0])).sum().backward()
            s3.torch.FusedSGD(layer).step()

    def test_parameters_are_reset_as_they_began(self):
        torch.manual_seed(0)
        layer = s3.torch.ShiftConv2d(32, 32, 3)
        deviations = [f.std().item() for f in layer.fields()]
        with torch.no_grad():
            for f in layer.fields():
                f.mul_(100)
        layer.reset_parameters()
        for f, deviation in zip(layer.fields(), deviations):
            self.assertAlmostEqual(f.std().item(), deviation, delta=0.05 * deviation)

    def test_convert_keeps_ends_options_and_sharing(self):
        shared = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sequential(shared, nn.ReLU(), shared),
                              nn.Flatten(), nn.Linear(4, 2))
        bias = shared.bias
        s3.torch.convert(model)
        self.assertIs(type(model[0]), nn.Conv2d)
        self.assertIs(type(model[3]), nn.Linear)
        self.assertIs(type(model[1][0]), s3.torch.ShiftConv2d)
        self.assertIs(model[1][0], model[1][2])
        self.assertIs(model[1][0].bias, bias)
        self.assertEqual((model[1][0].dilation, model[1][0].groups), ((2, 2), 2))
        with self.assertRaisesRegex(ValueError, "nothing"):
            s3.torch.convert(model, keep=["nothing"])

    def test_convert_from_trained_weights(self):
        for format in FORMATS + ["absmean"]:
            model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3), nn.Linear(4, 4),
                                  nn.Linear(4, 2))
            model.to(memory_format=torch.channels_last)
            weights = [m.weight.detach().clone() for m in model]
            s3.torch.convert(model, format, trained=True)
            for layer, w in zip(model[1:3], weights[1:3]):
                if format == "absmean":
                    self.assertTrue(torch.equal(layer.weight, w))
                    continue
                x = w / w.abs().mean()
                values = torch.tensor(
                    [0.0] * format.startswith("shift") + [2.0 ** e for e in range(
                        2 ** (int(format[-1]) - 1) - format.startswith("shift"))])
                nearest = values[(x.abs()[..., None] - values).abs().argmin(-1)]
                torch.testing.assert_close(layer.discrete(), nearest * torch.where(w >= 0, 1., -1.))
        bad = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
        bad[1].weight.data[1, 0] = math.nan
        with self.assertRaisesRegex(RuntimeError, r"1: s3: weights\[2\]"):
            s3.torch.convert(bad, trained=True)

    def test_records_hold_the_weights(self):
        for format in FORMATS:
            model = nn.Sequential(s3.torch.ShiftConv2d(3, 5, (3, 2), format=format),
                                  s3.torch.ShiftLinear(9, 4, format=format))
            records = s3.torch.export(model)
            for name, layer in model.named_children():
                self.assertTrue(torch.equal(s3.torch.unpack(format, records[name]),
                                            layer.discrete()))
        small, large = (len(s3.torch.export(s3.torch.ShiftLinear(64, 64, format=f))[""])
                        for f in ("shift3", "shift4"))
        self.assertEqual(large - small, 64 * 64 // 8)
        with self.assertRaises(RuntimeError):
            s3.torch.unpack("shift2", records["1"])

    def test_regularizer_and_share_of_zeros(self):
        layer = s3.torch.ShiftLinear(40, 40)
        for target in (0.1, 0.7):
            for _ in range(400):
                for f in layer.fields():
                    f.grad = torch.zeros_like(f)
                s3.torch.steer_zeros(layer, target, gain=0.2)
                s3.torch.add_dense_gradient(layer)
                layer.weight_val.data -= 0.2 * layer.weight_val.grad
            zeros = (layer.discrete() == 0).float().mean().item()
            self.assertAlmostEqual(zeros, target, delta=0.05)

    def test_validate_names_layer_and_latent(self):
        model = nn.Sequential(s3.torch.ShiftLinear(3, 3))
        s3.torch.validate(model)
        model[0].weight_shift.data[1, 1] = math.nan
        with self.assertRaisesRegex(RuntimeError, "0: .*shift_2"):
            s3.torch.validate(model)


class StateDicts(unittest.TestCase):
    def setUp(self):
        self.layer = s3.torch.ShiftConv2d(2, 3, 3, bias=False)
        self.state = {n: torch.randn(3, 2, 3, 3)
                      for n in ("weight", "weight_val", "weight_shift", "weight_shift2")}

    def refused(self, words, **changes):
        with self.assertRaisesRegex(RuntimeError, words):
            self.layer.load_state_dict({k: v for k, v in {**self.state, **changes}.items()
                                        if v is not None})

    def test_the_authors_names(self):
        self.layer.load_state_dict(self.state)
        s = self.state
        w = definition("shift3", [s["weight"], s["weight_val"], s["weight_shift2"], s["weight_shift"]])
        self.assertTrue(torch.equal(self.layer.discrete(), w))
        self.assertEqual(set(self.layer.state_dict()), set(s))
        self.layer.load_state_dict({**s, "weight_sign": s["weight"].clone()})

    def test_what_does_not_fit(self):
        self.refused("Missing.*weight_shift2", weight_shift2=None)
        self.refused("Unexpected.*alpha", alpha=torch.zeros(1))
        self.refused("weight_val is torch.float64", weight_val=self.state["weight"].double())
        self.refused("size mismatch for weight_shift", weight_shift=torch.zeros(2, 3, 3, 3))
        self.refused("weight_val holds values", weight_val=self.state["weight"] / 0)
        self.refused("weight_sign differs", weight_sign=torch.zeros(3, 2, 3, 3))
        self.refused("weight_val.*expected torch.Tensor", weight_val=[1.0])
        self.refused("Missing.*weight_val", weight_val=None)

    def test_foreign_entries(self):
        # A float layer's state dict has no latents; another format's has others.
        self.refused("Missing.*weight_val", weight_val=None, weight_shift=None, weight_shift2=None)
        other = s3.torch.ShiftConv2d(2, 3, 3, bias=False, format="shift4").state_dict()
        self.refused("Unexpected.*weight_shift3", **other)
        self.refused("Unexpected.*discrete_weight", discrete_weight=torch.zeros(3, 2, 3, 3))
        with self.assertRaisesRegex(RuntimeError, "weight_shift3 is no latent of shift3"):
            self.layer.load_state_dict(other, strict=False)
        sparse = self.layer.weight_val.detach().clone()
        # Not strictly, what is there is taken and the rest told.
        found = self.layer.load_state_dict({"weight": self.state["weight"], "x": torch.zeros(1)},
                                           strict=False)
        self.assertEqual(set(found.missing_keys), {"weight_val", "weight_shift", "weight_shift2"})
        self.assertEqual(found.unexpected_keys, ["x"])
        self.assertTrue(torch.equal(self.layer.weight, self.state["weight"]))
        self.assertTrue(torch.equal(self.layer.weight_val, sparse))

    def test_dense_shift_names(self):
        layer = s3.torch.ShiftLinear(5, 4, format="dense3", bias=False)
        latents = {name: torch.randn(4, 5) for name in ("weight", "weight_t1", "weight_t2",
                                                        "weight_t3")}
        layer.load_state_dict(latents)
        s = torch.zeros(4, 5)
        for k in (1, 2, 3):  # from the innermost
            s = (latents[f"weight_t{k}"] > 0) * (s + 1)
        self.assertTrue(torch.equal(layer.discrete(),
                                    torch.where(latents["weight"] >= 0, 1.0, -1.0) * 2**s))
        with self.assertRaisesRegex(RuntimeError, "weight_t1 is no latent of shift3"):
            s3.torch.ShiftLinear(5, 4, bias=False).load_state_dict(latents, strict=False)

    def test_a_fused_layer_takes_what_is_there_and_realizes_it(self):
        shift = s3.torch.FusedSGD(self.layer)
        self.layer.load_state_dict({"weight": -self.layer.weight.detach()}, strict=False)
        self.assertTrue(torch.equal(self.layer.discrete(),
                                    _s3.realize("shift3", self.layer.fields())))
        self.assertIs(shift.param_groups[0]["params"][0], self.layer.discrete_weight)
        self.refused("weight_val holds values", weight_val=self.state["weight"] / 0)

    def test_other_types_are_loaded_back(self):
        for dtype in (torch.float64, torch.bfloat16):
            layer = s3.torch.ShiftLinear(4, 4).to(dtype)
            layer.load_state_dict(layer.state_dict())
            layer.load_state_dict(s3.torch.ShiftLinear(4, 4).state_dict())
            with self.assertRaisesRegex(RuntimeError, f"weight is torch.float16, {dtype} is needed"):
                layer.load_state_dict(s3.torch.ShiftLinear(4, 4).half().state_dict())
        large = s3.torch.ShiftLinear(4, 4)
        large.initialize(1e6)
        with self.assertRaisesRegex(RuntimeError, "weight holds values that are not finite"):
            s3.torch.ShiftLinear(4, 4).half().load_state_dict(large.state_dict())


def model_and_data(format="shift3", surrogate="published"):
    torch.manual_seed(5)
    options = dict(format=format, surrogate=surrogate)
    model = nn.Sequential(s3.torch.ShiftConv2d(2, 4, 3, **options), nn.ReLU(), nn.Flatten(),
                          s3.torch.ShiftLinear(64, 8, **options), nn.Tanh(), nn.Linear(8, 3))
    return model, torch.randn(4, 16, 2, 6, 6), torch.randint(3, (4, 16))


def fit(model, optimizers, xs, ys, dense=0.0):
    for x, y in zip(xs, ys):
        for o in optimizers:
            o.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x), y).backward()
        if dense:
            s3.torch.add_dense_gradient(model, dense)
        for o in optimizers:
            o.step()


class Training(unittest.TestCase):
    def test_fused_equals_autograd(self):
        for format, surrogate in [("shift2", "published"), ("shift3", "published"),
                                  ("shift4", "flat"), ("dense3", "published")]:
            for ours, theirs in [
                (lambda m: s3.torch.FusedSGD(m, 0.05, weight_decay=1e-3, dense=1e-3),
                 lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=1e-3)),
                (lambda m: s3.torch.FusedAdam(m, 0.004, dense=1e-3),
                 lambda p: torch.optim.Adam(p, 0.004))]:
                model, xs, ys = model_and_data(format, surrogate)
                other = copy.deepcopy(model)
                fit(other, [theirs(other.parameters())], xs, ys, dense=1e-3)
                fused = ours(model)
                fit(model, [fused, theirs(s3.torch.other_parameters(model))], xs, ys)
                for name, value in other.state_dict().items():
                    torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4,
                                               atol=1e-5)
                for layer in s3.torch.shift_layers(model):
                    self.assertTrue(torch.equal(layer.discrete(),
                                                _s3.realize(format, layer.fields())))

    def test_frozen_layers_stay_and_absmean_is_trained_with_the_rest(self):
        torch.manual_seed(0)
        model = nn.Sequential(s3.torch.ShiftLinear(4, 4), s3.torch.ShiftLinear(4, 4),
                              s3.torch.ShiftLinear(4, 4, format="absmean"), nn.Linear(4, 2))
        for f in model[0].fields():
            f.requires_grad_(False)
        before = [[f.clone() for f in layer.fields()] for layer in model[:3]]
        optimizers = [s3.torch.FusedSGD(model, 1.0),
                      torch.optim.SGD(s3.torch.other_parameters(model), 1.0)]
        fit(model, optimizers, torch.randn(3, 8, 4), torch.randint(2, (3, 8)))
        self.assertEqual([torch.equal(a[0], layer.fields()[0]) for a, layer in zip(before, model)],
                         [True, False, False])

    def test_a_step_between_forward_and_backward_is_noticed(self):
        model = nn.Sequential(s3.torch.ShiftLinear(4, 4), nn.Tanh(), s3.torch.ShiftLinear(4, 4))
        shift = s3.torch.FusedSGD(model, 1.0)
        loss = model(torch.randn(3, 4)).square().sum()
        loss.backward(retain_graph=True)
        shift.step()
        with self.assertRaisesRegex(RuntimeError, "modified by an inplace operation"):
            loss.backward()

    def test_copies_realize_their_own_latents(self):
        model = copy.deepcopy(s3.torch.ShiftLinear(4, 4))  # whose versions begin at 0
        s3.torch.FusedSGD(model)
        with torch.no_grad():
            for f in model.fields():
                f.neg_()
        other = copy.deepcopy(model)
        self.assertTrue(torch.equal(other.discrete(), _s3.realize("shift3", other.fields())))

    def test_optimizers_are_copied_and_saved_with_their_model(self):
        for how in ("copy", "save"):
            model, xs, ys = model_and_data()
            shift = s3.torch.FusedAdam(model)
            fit(model, [shift], xs[:2], ys[:2])
            if how == "copy":
                other, its = copy.deepcopy((model, shift))
            else:
                file = io.BytesIO()
                torch.save((model, shift), file)
                file.seek(0)
                other, its = torch.load(file)
            fit(other, [its], xs[2:], ys[2:])
            fit(model, [shift], xs[2:], ys[2:])
            for name, value in model.state_dict().items():
                self.assertTrue(torch.equal(other.state_dict()[name], value), name)

    def test_moments_follow_the_layout_of_their_latents(self):
        model, xs, ys = model_and_data()
        shift = s3.torch.FusedSGD(model, 0.05)
        fit(model, [shift], xs[:2], ys[:2])
        other, its = copy.deepcopy((model, shift))
        other.to(memory_format=torch.channels_last)
        fit(other, [its], xs[2:].contiguous(), ys[2:])
        fit(model, [shift], xs[2:], ys[2:])
        for name, value in model.state_dict().items():
            torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-4, atol=1e-5)

    def test_moments_take_the_type_of_their_latents(self):
        model, xs, ys = model_and_data()
        shift = s3.torch.FusedAdam(model)
        fit(model, [shift], xs[:1], ys[:1])
        fit(model.double(), [shift], xs[1:2].double(), ys[1:2])
        self.assertEqual({m.dtype for state in shift.state.values() for ms in state["moments"]
                          for m in ms}, {torch.float64})

    def test_averages_are_on_the_grid(self):
        model, xs, ys = model_and_data()
        optimizers = [s3.torch.FusedSGD(model, 0.5),
                      torch.optim.SGD(s3.torch.other_parameters(model), 0.1)]
        average = torch.optim.swa_utils.AveragedModel(model)
        by_data = copy.deepcopy(model)
        for x, y in zip(xs, ys):
            fit(model, optimizers, x[None], y[None])
            average.update_parameters(model)
            for mean, new in zip(by_data.parameters(), model.parameters()):
                mean.data.mul_(0.5).add_(new.data, alpha=0.5)  # which no version counts
        by_state = copy.deepcopy(model)
        by_state.load_state_dict(average.module.state_dict())
        for m in (average.module, by_data, by_state):
            layer = m[0]
            on_grid = _s3.realize("shift3", layer.fields())
            with torch.no_grad():
                self.assertTrue(torch.equal(layer.discrete(), on_grid))
        for m in (average.module, by_state):  # trained on, they start from there
            self.assertTrue(torch.equal(m[0].discrete(), _s3.realize("shift3", m[0].fields())))
            self.assertTrue(m[0].discrete().requires_grad)

    def test_channels_last_trains_the_same(self):
        for fused in (False, True):
            results = []
            for format in (torch.contiguous_format, torch.channels_last):
                model, xs, ys = model_and_data()
                model.to(memory_format=format)
                optimizers = [s3.torch.FusedSGD(model, 0.05)] if fused else []
                optimizers.append(torch.optim.SGD(
                    s3.torch.other_parameters(model) if fused else model.parameters(), 0.05))
                fit(model, optimizers, [x.contiguous(memory_format=format) for x in xs], ys)
                self.assertTrue(model[0].discrete().is_contiguous(memory_format=format))
                results.append(model.state_dict())
            for name, value in results[0].items():
                torch.testing.assert_close(results[1][name], value, rtol=1e-4, atol=1e-5)

    def test_saved_and_resumed_it_continues_bit_for_bit(self):
        fused = lambda m: [s3.torch.FusedAdam(m), torch.optim.SGD(
            s3.torch.other_parameters(m), 0.1, momentum=0.9)]
        autograd = lambda m: [torch.optim.Adam(m.parameters(), 0.01)]
        for optimizers in (fused, autograd):
            model, xs, ys = model_and_data()
            first = optimizers(model)
            fit(model, first, xs[:2], ys[:2], dense=1e-3)
            file = io.BytesIO()
            torch.save([model.state_dict(), *(o.state_dict() for o in first)], file)
            start = copy.deepcopy(model.state_dict())
            fit(model, first, xs[2:], ys[2:], dense=1e-3)

            again, _, _ = model_and_data()
            second = optimizers(again)
            file.seek(0)
            for target, state in zip([again, *second], torch.load(file)):
                target.load_state_dict(state)
            fit(again, second, xs[2:], ys[2:], dense=1e-3)
            for name, value in model.state_dict().items():
                self.assertTrue(torch.equal(again.state_dict()[name], value), name)
                self.assertFalse(torch.equal(start[name], value), name)

    def test_training_moves_to_the_share_of_zeros_asked_for(self):
        for target in (0.2, 0.8):
            for fused in (False, True):
                model, xs, ys = model_and_data()
                optimizers = [s3.torch.FusedSGD(model, 0.2)] if fused else []
                optimizers.append(torch.optim.SGD(
                    s3.torch.other_parameters(model) if fused else model.parameters(), 0.1,
                    momentum=0.9))
                for _ in range(300):
                    s3.torch.steer_zeros(model, target)
                    for o in optimizers:
                        o.zero_grad(set_to_none=True)
                    nn.functional.cross_entropy(model(xs[0]), ys[0]).backward()
                    s3.torch.add_dense_gradient(model)
                    for o in optimizers:
                        o.step()
                for layer in s3.torch.shift_layers(model):
                    zeros = (layer.discrete() == 0).float().mean().item()
                    self.assertAlmostEqual(zeros, target, delta=0.1)  # from 0.5
        with self.assertRaisesRegex(RuntimeError, "target is 2"):
            s3.torch.steer_zeros(model, 2)


def distributed_worker(rank, folder, fused):
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    train_part(folder, fused, rank)
    dist.destroy_process_group()


def train_part(folder, fused, rank=None):
    torch.set_num_threads(1)
    model, xs, ys = model_and_data()
    optimizers = [s3.torch.FusedSGD(model, 0.05)] if fused else []
    optimizers.append(torch.optim.SGD(
        s3.torch.other_parameters(model) if fused else model.parameters(), 0.05, momentum=0.9))
    if rank is None:
        fit(model, optimizers, xs, ys)
        return model.state_dict()
    fit(nn.parallel.DistributedDataParallel(model), optimizers, xs[:, rank::2], ys[:, rank::2])
    torch.save(model.state_dict(), f"{folder}/{rank}.pt")


class Distributed(unittest.TestCase):
    def test_two_processes_equal_one_with_the_joined_batch(self):
        for fused in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                torch.multiprocessing.spawn(distributed_worker, (folder, fused), nprocs=2)
                one = train_part(folder, fused)
                for rank in (0, 1):
                    for name, value in torch.load(f"{folder}/{rank}.pt").items():
                        torch.testing.assert_close(value, one[name], rtol=1e-4, atol=1e-6)

    def test_the_example(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "../../examples/python/train.py")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        with tempfile.TemporaryDirectory() as folder:
            processes = [subprocess.Popen(
                [sys.executable, script, "--images", "2048", "--epochs", "1", "--export", folder],
                env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "MASTER_ADDR": "127.0.0.1",
                     "MASTER_PORT": port, "WORLD_SIZE": "2", "RANK": str(rank),
                     "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in (0, 1)]
            said = [p.communicate(timeout=240) for p in processes]
            self.assertIn("test accuracy", said[0][0], said)
            self.assertEqual(len(os.listdir(folder)), 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
