"""Tests of the networks of the Python package, and of their conversion from PyTorch.

    PYTHONPATH=<build>/python /usr/bin/python3 tests/python/test_network.py
"""

import os
import re
import subprocess
import sys
import tempfile
import tracemalloc
import unittest

import numpy
import s3
import s3.torch
import torch
from support import or_skip, pixels, settled
from torch import nn
from torch.nn import functional as F

MEAN, STD = [0.4, 0.5, 0.45], [0.2, 0.25, 0.3]


def real(x, mean=0, std=1):
    """What a module takes for these bytes."""
    x = torch.from_numpy((x / 255 - mean) / std).float()
    return x.movedim(-1, 1).contiguous() if x.ndim > 2 else x


def settle(model, x):
    torch.manual_seed(1)
    return settled(model, x)


def off(ours, theirs):
    """The error of outputs, relative to how much they differ between images."""
    theirs = theirs.movedim(1, -1) if theirs.ndim > 2 else theirs
    theirs = theirs.numpy()
    return numpy.linalg.norm(ours - theirs) / numpy.linalg.norm(theirs - theirs.mean(0))


class Block(nn.Module):
    """The block of ResNet-20."""

    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False),
                                          nn.BatchNorm2d(out))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += self.shortcut(x)
        return F.relu(y)


class ResNet(nn.Module):
    def __init__(self, width=8, blocks=3):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        layers, channels = [], width
        for stage in range(3):
            for block in range(blocks):
                out = width << stage
                layers.append(Block(channels, out, 2 if stage and not block else 1))
                channels = out
        self.layers = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, 10)

    def forward(self, x):
        x = self.layers(F.relu(self.bn1(self.conv1(x))))
        x = F.avg_pool2d(x, x.size()[3])
        return self.fc(x.view(x.size(0), -1))


class Conversion(unittest.TestCase):
    def convert(self, *arguments, **options):
        return or_skip(self, s3.convert_network, *arguments, **options)

    def check(self, model, x, limit, mean=None, std=None, **options):
        """A network that equals its own definition, and PyTorch's outputs up to rounding."""
        net = self.convert(model, x, mean, std, **options)
        y = net.run(x)
        if not options.get("float_last"):
            numpy.testing.assert_array_equal(net.run(x, integers=True), net.reference(x))
        with torch.no_grad():
            expected = model(real(x, mean or 0, std or 1))
        self.assertLess(off(y, expected), limit)
        return net, y, expected.numpy()

    def test_a_resnet_of_shift_layers(self):
        x = pixels(24, 32, 32, 3)
        for format in ("shift3", "dense3", "absmean"):
            with self.subTest(format=format):
                torch.manual_seed(0)
                model = settle(s3.torch.convert(ResNet(), format), real(x, MEAN, STD))
                net, y, expected = self.check(model, x, 0.25, MEAN, STD)
                self.assertGreater((y.argmax(1) == expected.argmax(1)).mean(), 0.85)
                packed = [l for l in net._network.layers()
                          if l["format"] == ("shift2" if format == "absmean" else format)]
                self.assertEqual(len(packed), 20)
                errors = {r["weight_error"] for r in net._network.report()
                          if r["name"].startswith("layers")}
                self.assertLess(max(errors), 1e-6)  # latents are kept exactly

    def test_a_shortcut_without_weights(self):
        """He et al. 2016, option A: every second pixel, and zeros beside the channels."""
        class Net(nn.Module):
            def __init__(self, index):
                super().__init__()
                self.index = index
                self.stem, self.norm0 = nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
                self.conv, self.norm = nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
                self.last = nn.Linear(16, 10)

            def forward(self, x):
                x = F.relu(self.norm0(self.stem(x)))
                y = self.norm(self.conv(x)) + F.pad(x[self.index], (0, 0, 0, 0, 3, 5))
                return self.last(F.relu(y).mean((2, 3)))

        torch.manual_seed(0)
        x, all_ = pixels(24, 12, 12, 3), slice(None)
        self.check(settle(Net((all_, all_, slice(None, None, 2), slice(None, None, 2))),
                          real(x, MEAN, STD)), x, 0.25, MEAN, STD, format="int8")
        with self.assertRaisesRegex(s3.Error, "getitem.*only steps over pixels"):
            s3.convert_network(Net((all_, all_, slice(1, None, 2), slice(1, None, 2))), x, MEAN, STD)

    def test_float_layers_are_rounded(self):
        torch.manual_seed(0)
        x = pixels(24, 32, 32, 3)
        model = settle(ResNet(blocks=1), real(x, MEAN, STD))
        before = {name: t.clone() for name, t in model.state_dict().items()}
        errors = []
        for format in ("int8", "shift4", "shift3", "shift2"):
            with self.subTest(format=format):
                net = self.convert(model, x, MEAN, STD, format=format)
                with torch.no_grad():
                    errors.append(off(net.run(x), model(real(x, MEAN, STD))))
                self.assertEqual({l["format"] for l in net._network.layers()} - {""},
                                 {format, "int8"})
        self.assertLess(errors[0], 0.2)
        self.assertEqual(errors, sorted(errors))  # fewer bits, more error
        for name, t in model.state_dict().items():
            self.assertTrue(torch.equal(t, before[name]))

    def test_float_samples_are_the_same_as_bytes(self):
        torch.manual_seed(0)
        x = pixels(6, 12, 12, 3)
        model = settle(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
                                     nn.Linear(800, 5)), real(x, MEAN, STD))
        files = [s3.convert_network(model, samples, MEAN, STD)._network.bytes() for samples in
                 (x, real(x, MEAN, STD), torch.from_numpy(x).movedim(-1, 1))]
        self.assertEqual(files[0], files[1])
        self.assertEqual(files[0], files[2])

    def test_operations(self):
        class Mixed(nn.Module):
            def __init__(self):
                super().__init__()
                self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding="same"), nn.BatchNorm2d(8),
                                          nn.Hardswish())
                self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
                self.point = nn.Conv2d(8, 12, 1)
                self.squeeze, self.excite = nn.Linear(12, 4), nn.Linear(4, 12)
                self.even = nn.Conv2d(12, 6, 2, padding="same")
                self.head = nn.Linear(18 * 16, 7)

            def forward(self, x):
                x = self.point(F.relu6(self.depthwise(self.stem(x))))
                s = x.mean((2, 3))
                s = torch.sigmoid(self.excite(torch.relu(self.squeeze(s))))
                x = x * s.view(s.shape[0], -1, 1, 1)
                y = F.interpolate(F.max_pool2d(x, 2), scale_factor=2, mode="nearest")
                x = torch.cat([y, nn.functional.gelu(self.even(x))], 1)
                x = F.avg_pool2d(x, 2)
                return self.head(F.dropout(torch.flatten(x, 1), training=self.training))

        torch.manual_seed(3)
        x = pixels(16, 8, 8, 3)
        self.check(settle(Mixed(), real(x)), x, 0.15, format="int8")

    def test_sequences_and_vectors(self):
        torch.manual_seed(0)
        x = pixels(16, 40, 6)
        model = nn.Sequential(nn.Conv1d(6, 8, 9, 2, 4), nn.BatchNorm1d(8), nn.LeakyReLU(0.4),
                              nn.MaxPool1d(2), nn.Conv1d(8, 8, 3), nn.Tanh(),
                              nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4))
        net, _, _ = self.check(settle(model, real(x)), x, 0.15, format="int8")
        self.assertEqual(net.input_shape, (40, 6))
        x = pixels(16, 20)
        model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 16), nn.ELU(),
                              nn.Linear(16, 3))
        net, _, _ = self.check(model, x, 0.1, format="int8")
        self.assertEqual(net.input_shape, (20,))

    def test_a_layer_that_is_used_twice(self):
        class Twice(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

            def forward(self, x):
                return self.conv(self.relu(self.conv(x)))

        torch.manual_seed(0)
        x = pixels(8, 6, 6, 3)
        net, y, _ = self.check(Twice(), x, 0.1, format="int8")
        self.assertEqual(y.shape, (8, 6, 6, 3))
        self.assertEqual([l["name"] for l in net._network.layers()], ["conv", "conv@2"])

    def test_padding_of_one_dimension_of_images(self):
        class Wide(nn.Module):
            def __init__(self, pad):
                super().__init__()
                self.conv, self.last, self.pad = nn.Conv2d(3, 8, 3), nn.Linear(8, 3), pad

            def forward(self, x):
                return self.last(self.conv(self.pad(x)).mean((2, 3)))

        torch.manual_seed(0)
        x = pixels(8, 6, 6, 3)
        for pad in (nn.ConstantPad1d(2, 0.0), lambda x: F.pad(x, (2, 1)), nn.ZeroPad2d((2, 1, 0, 3))):
            self.check(Wide(pad), x, 0.1, format="int8")
        with self.assertRaisesRegex(s3.Error, "padding must be of zeros, around images"):
            s3.convert_network(nn.Sequential(nn.Conv1d(2, 4, 3), nn.ConstantPad2d((1, 1, 2, 2), 0.0),
                                             nn.Conv1d(8, 4, 3)), pixels(4, 9, 2))

    def test_operations_in_place(self):
        """What PyTorch writes over is read as it is afterwards."""
        class Net(nn.Module):
            def __init__(self, forward):
                super().__init__()
                self.a, self.b = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
                self.c, self.relu = nn.Conv2d(8, 4, 1), nn.ReLU(inplace=True)
                self.run = forward

            def forward(self, x):
                return self.run(self, self.a(x))

        def skip_behind_the_relu(net, x):
            y = net.b(net.relu(x))
            return net.c(y + x)

        def unused_result(net, x):
            F.relu(x, inplace=True)
            return net.c(net.b(x))

        def sum_in_place(net, x):
            z = x
            z += net.b(x)
            return net.c(net.b(z) + x)

        def through_a_view(net, x):
            x.view(x.shape).relu_()
            return net.c(x)

        torch.manual_seed(0)
        x = pixels(8, 6, 6, 3)
        with self.assertRaisesRegex(s3.Error, "relu_ writes to the memory of a, which c reads"):
            s3.convert_network(Net(through_a_view), x)
        for forward in (skip_behind_the_relu, unused_result, sum_in_place):
            with self.subTest(forward.__name__):
                self.check(Net(forward), x, 0.1, format="int8")

    def test_hooks_and_keywords_are_not_lost(self):
        class Named(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(3, 4, 3)

            def forward(self, x):
                return self.conv(input=x)

        x = pixels(2, 8, 8, 3)
        with self.assertRaisesRegex(s3.Error, "only argument"):
            s3.convert_network(Named(), x)
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
        model[0].register_forward_hook(lambda module, inputs, y: y * 3)
        with self.assertRaisesRegex(s3.Error, "0 .Conv2d.: it has hooks"):
            s3.convert_network(model, x)
        for hook in ("register_forward_hook", "register_forward_pre_hook"):
            model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
            getattr(model, hook)(lambda *arguments: None)
            with self.assertRaisesRegex(s3.Error, "it has hooks"):
                s3.convert_network(model, x)

    def test_in_inference_mode(self):
        x, model = pixels(2, 8, 8, 3), nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3))
        with torch.inference_mode():
            self.check(model, x, 0.1, format="int8")

    def test_a_last_layer_in_float(self):
        torch.manual_seed(0)
        x = pixels(16, 12)
        model = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
        net, y, _ = self.check(model, x, 0.1, float_last=True)
        self.assertIn("float", repr(net.report()).splitlines()[-1])
        with self.assertRaisesRegex(s3.Error, "float"):
            net.reference(x)

    def test_everything_unsupported_is_named_at_once(self):
        class Inner(nn.Module):
            def __init__(self):
                super().__init__()
                self.pool = nn.MaxPool2d(2, ceil_mode=True)
                self.norm = nn.GroupNorm(1, 4)

            def forward(self, x):
                return torch.fft.fft(self.norm(self.pool(x))).real + 1

        model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), Inner())
        with self.assertRaises(s3.Error) as raised:
            s3.convert_network(model, pixels(2, 8, 8, 3))
        self.assertEqual([line.strip().split(":")[0] for line in str(raised.exception).splitlines()],
                         ["6 operations of the model cannot be converted", "0 (Conv2d)",
                          "1.pool (MaxPool2d)", "1.norm (GroupNorm)", "1", "1", "1"])
        self.assertIn("padding_mode='circular'", str(raised.exception))
        self.assertIn("1: fft_fft", str(raised.exception))

    def test_what_cannot_be_traced(self):
        class Branches(nn.Module):
            def forward(self, x):
                return x if x.sum() > 0 else -x

        with self.assertRaisesRegex(s3.Error, "cannot be traced"):
            s3.convert_network(Branches(), pixels(2, 8, 8, 3))

    def test_bad_arguments(self):
        model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), pixels(2, 8, 8, 3)
        for wrong, *arguments in [("torch.nn.Module", "net", x), ("uint8 or float", model, x.astype("i4")),
                                  ("shape", model, x[0, 0, 0]), ("mean: has 2", model, x, [0, 1]),
                                  ("tell mean and std", model, real(x) * 3),
                                  ("finite", model, x, float("nan")),
                                  ("cannot be traced", model, x[..., :2])]:
            with self.subTest(wrong), self.assertRaisesRegex(s3.Error, wrong):
                s3.convert_network(*arguments)
        for wrong, options in [("format", {"format": "shift9"}), ("bits", {"bits": 9})]:
            with self.subTest(wrong), self.assertRaisesRegex(s3.Error, wrong):
                s3.convert_network(nn.Sequential(*model, nn.Conv2d(4, 4, 3)), x, **options)
        with torch.no_grad():
            model[1].weight[0, 0, 0, 0] = float("nan")
        with self.assertRaisesRegex(s3.Error, r"line 3 \(1\): weight\[0\]: value is not finite"):
            s3.convert_network(model, x)


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.manual_seed(0)
        cls.x = pixels(20, 16, 16, 1)
        model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                              nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))
        cls.net = s3.convert_network(model, cls.x)

    def test_files(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "net.safetensors")
            self.net.save(path)
            loaded = s3.load(path)
            numpy.testing.assert_array_equal(loaded.run(self.x), self.net.run(self.x))
            self.assertEqual(repr(loaded.inspect()), repr(self.net.inspect()))
            loaded.save(path)  # onto the file that it came from
            numpy.testing.assert_array_equal(loaded.run(self.x), s3.load(path).run(self.x))
            script = ("import sys, numpy, s3\n"
                      f"print(s3.load({path!r}).run(numpy.zeros((1, 16, 16, 1), 'u1')).shape)\n"
                      "assert 'torch' not in sys.modules")
            said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
            self.assertEqual(said.stdout, "(1, 4)\n", said.stderr)
            with open(path, "rb") as file:
                whole = file.read()
            with open(path, "wb") as file:
                file.write(whole[:-7])
            for bad in (path, path + ".no"):
                with self.assertRaises(s3.Error) as raised:
                    s3.load(bad)
                self.assertIn(bad, str(raised.exception))
            with self.assertRaises(s3.Error):
                self.net.save(os.path.join(folder, "no", "net"))

    def test_any_batch_and_layout(self):
        whole = self.net.run(self.x)
        self.assertEqual(whole.dtype, numpy.float32)
        numpy.testing.assert_array_equal(numpy.concatenate([self.net.run(i[None]) for i in self.x]),
                                         whole)
        numpy.testing.assert_array_equal(self.net.run(self.x[..., 0]), whole)
        numpy.testing.assert_array_equal(self.net.run(self.x[::-1])[::-1], whole)  # not contiguous
        self.assertEqual(self.net.run(self.x[:0]).shape, (0, 4))
        integers = self.net.run(self.x, integers=True)
        self.assertEqual(integers.dtype, numpy.int32)
        scale = numpy.float32(self.net.output_scale)
        numpy.testing.assert_array_equal(integers.astype("f4") * scale, whole)

    def test_tensors_and_other_arrays(self):
        """Anything with __dlpack__ runs, in whatever layout, and strided arrays run as they are."""
        expected = self.net.run(self.x)
        tensor = torch.from_numpy(self.x.copy())
        channels_last = tensor.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

        class Exporting:  # __dlpack__ alone
            def __dlpack__(self):
                return tensor.__dlpack__()

            def __dlpack_device__(self):
                return tensor.__dlpack_device__()

        for x in (tensor, channels_last.permute(0, 2, 3, 1), Exporting()):
            numpy.testing.assert_array_equal(self.net.run(x), expected)
        padded = numpy.zeros((20, 18, 18, 1), "u1")
        padded[:, 1:17, 1:17] = self.x
        numpy.testing.assert_array_equal(self.net.run(padded[:, 1:17, 1:17]), expected)
        numpy.testing.assert_array_equal(self.net.run(self.x[::3]), expected[::3])
        numpy.testing.assert_array_equal(self.net.run(self.x[5::-2]), expected[5::-2])
        repeated = numpy.broadcast_to(self.x[:1], self.x.shape)
        numpy.testing.assert_array_equal(self.net.run(repeated), expected[[0] * 20])

        class Elsewhere(Exporting):
            def __dlpack__(self):
                raise BufferError("this device is not the CPU")

        for wrong, x in [("[Dd]evice", Elsewhere()), ("gradient", torch.zeros(1, requires_grad=True)),
                         ("uint8", torch.zeros(20, 16, 16, 1))]:
            with self.subTest(wrong), self.assertRaisesRegex(s3.Error, f"input: .*{wrong}"):
                self.net.run(x)

    def test_nothing_is_copied(self):
        x = numpy.concatenate([self.x] * 20)
        out, tensor = numpy.empty((200, 4), "f4"), torch.from_numpy(x)
        for some in (x[::2], x[399::-2], tensor[::2], x[:200], tensor[:200]):
            self.net.run(some, out=out)
            tracemalloc.start()  # which sees the memory of NumPy's arrays
            self.net.run(some, out=out)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            self.assertLess(peak, 4096)

    def test_outputs_into_memory_that_is_given(self):
        expected = self.net.run(self.x)
        integers = self.net.run(self.x, integers=True)
        wide, memory = numpy.zeros((20, 9), "f4"), numpy.zeros((40, 4), "f4")
        tensor = torch.zeros(20, 4)
        for out in (memory[:20], memory[::2], memory[19::-1], wide[:, 2:6], tensor):
            self.assertIs(self.net.run(self.x, out=out), out)
            numpy.testing.assert_array_equal(numpy.asarray(out), expected)
        self.assertFalse(wide[:, :2].any() or wide[:, 6:].any())
        out = torch.zeros(20, 4, dtype=torch.int32)
        numpy.testing.assert_array_equal(self.net.run(self.x, integers=True, out=out).numpy(), integers)
        frozen = memory[:20].copy()
        frozen.flags.writeable = False
        both = numpy.zeros(20 * 256 + 320, "u1")
        for wrong, out in [("float32", memory[:20].astype("f8")), (r"needs \[20, 4\]", memory[:19]),
                           ("read-only", frozen), ("read-only", numpy.broadcast_to(memory[:1, :1], (20, 4))),
                           (r"strides\[1\]", numpy.zeros((20, 8), "f4")[:, ::2]),
                           ("list", expected.tolist()),
                           ("overlap", numpy.lib.stride_tricks.as_strided(memory, (20, 4), (4, 4)))]:
            with self.subTest(wrong), self.assertRaisesRegex(s3.Error, f"out: .*{wrong}"):
                self.net.run(self.x, out=out)
        with self.assertRaisesRegex(s3.Error, "out: .*overlap the input"):
            self.net.run(both[:5120].reshape(20, 16, 16, 1),
                         out=both[64:384].view("f4").reshape(20, 4))

    def test_bad_inputs(self):
        for wrong, x in [("uint8", self.x.astype("f4")), ("uint8", self.x.tolist()),
                         (r"needs \[N, 16, 16, 1\]", self.x[0]),
                         ("shape does not fit", self.x[:, 1:])]:
            with self.subTest(wrong), self.assertRaisesRegex(s3.Error, f"input: .*{wrong}"):
                self.net.run(x)

    def test_kernels(self):
        expected = self.net.run(self.x)
        self.assertIn(self.net.instruction_set, s3.instruction_sets())
        ran = 0
        for choice in ({"kernels": "shift_add"}, {"batch": 16},
                       *({"instruction_set": name} for name in s3.instruction_sets())):
            try:
                self.net.choose(**choice)
            except s3.Error as error:  # this machine lacks it
                self.assertIn("options.set", str(error))
                continue
            ran += "instruction_set" in choice
            numpy.testing.assert_array_equal(self.net.run(self.x), expected)
        self.assertGreater(ran, 0)
        names = self.net.tune(batch=4, seconds=0.01)
        self.assertTrue(names[0])
        self.assertEqual([l["kernel"] for l in self.net._network.layers()][0], names[0])
        numpy.testing.assert_array_equal(self.net.run(self.x), expected)
        self.net.choose()
        for wrong, choice in [("family", {"kernels": "fast"}), ("options.set", {"instruction_set": "z80"}),
                              ("batch", {"batch": 0}), ("layer 0: .*kernel", {"layer_kernels": ["none"] * 4})]:
            with self.subTest(wrong), self.assertRaisesRegex(s3.Error, wrong):
                self.net.choose(**choice)
        numpy.testing.assert_array_equal(self.net.run(self.x), expected)

    def test_tables(self):
        table = self.net.inspect()
        lines = repr(table).splitlines()
        self.assertEqual(len(lines), 2 + len(self.net._network.layers()) + 1)
        self.assertRegex(lines[4], "^3 .* shift3 .*576")
        self.assertIn("input 16x16x1", lines[-1])
        html = table._repr_html_()
        self.assertEqual(html.count("<tr>"), len(lines) - 2)
        self.assertIn("<td>shift3</td>", html)
        self.assertIn("rounded", repr(self.net.report()))


MODEL = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))

def trained():
    torch.manual_seed(3)
    return network()

def number():
    return 3
"""
DESCRIPTION = """input 16 16 3 mean=0.4,0.5,0.45 std=0.2,0.25,0.3
conv 0 3 8 kernel=3 padding=1
relu
conv 2 8 8 kernel=3 stride=2 padding=1
relu
globalmean
linear 6 8 5
"""


class Program(unittest.TestCase):
    """The program s3shift with PyTorch."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.x = pixels(40, 16, 16, 3, seed=4)
        numpy.save(self.path("x.npy"), self.x)
        for name, text in (("net.py", MODEL), ("net.txt", DESCRIPTION)):
            with open(self.path(name), "w") as file:
                file.write(text)
        space = {}
        exec(MODEL, space)
        self.model = space["trained"]().eval()
        torch.save({"state_dict": self.model.state_dict()}, self.path("state.pt"))
        self.expected = s3.convert_network(self.model, self.x, mean=MEAN, std=STD,
                                           format="shift4").run(self.x, integers=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, *arguments):
        return subprocess.run([sys.executable, "-m", "s3", *arguments], capture_output=True,
                              text=True, cwd=self.folder)

    def imported(self, *arguments):
        done = self.program("import", "--samples", "x.npy", "--format", "shift4", "--out", "net",
                            *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("shift4", done.stdout)
        return s3.load(self.path("net")).run(self.x, integers=True)

    def test_imports(self):
        torch.save(self.model, self.path("whole.pt"))
        scales = ["--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD))]
        for arguments in (["--torch", "net.py:trained", *scales], ["--torch", "net:trained", *scales],
                          ["--torch", "whole.pt", *scales],
                          ["--torch", "net.py:network", "--checkpoint", "state.pt", *scales],
                          ["--network", "net.txt", "--checkpoint", "state.pt"]):
            with self.subTest(arguments):
                numpy.testing.assert_array_equal(self.imported(*arguments), self.expected)

    def test_errors(self):
        for said, arguments in (("no function trainde", ["--torch", "net.py:trainde"]),
                                ("gives a int", ["--torch", "net.py:number"]),
                                ("holds a state dict", ["--torch", "state.pt"]),
                                ("nothing.py", ["--torch", "nothing.py:f"]),
                                ("net.txt: ", ["--torch", "net.txt"]),
                                ("--mean: 'a'", ["--torch", "net.py:trained", "--mean", "a"])):
            with self.subTest(said):
                done = self.program("import", "--samples", "x.npy", "--out", "net", *arguments)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, f"^s3shift: .*{said}")
                self.assertNotIn("Traceback", done.stderr)
                self.assertFalse(os.path.exists(self.path("net")))

    def test_is_the_program(self):
        done = self.program("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("import", done.stdout)
        self.assertEqual(self.program("run").returncode, 2)


class Example(unittest.TestCase):
    def test_convert(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "../../examples/convert/main.py")
        with tempfile.TemporaryDirectory() as folder:
            said = subprocess.run([sys.executable, script, "--images", "6000", "--epochs", "1",
                                   "--format", "int8", "--out", os.path.join(folder, "net")],
                                  capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        found = re.search(r"PyTorch ([\d.]+)%, in integers ([\d.]+)%", said.stdout)
        theirs, ours = map(float, found.groups())
        self.assertGreater(theirs, 30)
        self.assertAlmostEqual(ours, theirs, delta=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
