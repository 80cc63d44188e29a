#!/usr/bin/env python3
"""ResNet-18 at 224x224 in fp32 by libtorch, as fast as it goes: channels last, one thread, batch 1, eager
and as a frozen graph with folded norms, each in a process of its own. Prints one line of JSON: milliseconds
per image of the faster one, the peak memory in MiB of the one that takes less (beyond what stood before
the network was made), bytes of weights.

    libtorch.py [ROUNDS]
"""

import json
import resource
import statistics
import subprocess
import sys
import time

if sys.argv[1:] in (["-h"], ["--help"]):  # before what may be missing
    sys.exit(print(__doc__))

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = None
        if stride != 1:
            self.down = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (x if self.down is None else self.down(x)))


def resnet18():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers += [nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
        inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)]
    return nn.Sequential(*layers)


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(kind, rounds):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    before = peak_mib()
    network = resnet18().eval().to(memory_format=torch.channels_last)
    weights = sum(p.numel() for p in network.parameters()) * 4
    x = torch.rand(1, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    if kind == "frozen":
        network = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(network, x)))
    for _ in range(3):
        network(x)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        network(x)
        times.append(time.perf_counter() - start)
    return {"milliseconds": statistics.median(times) * 1e3, "peak_mib": peak_mib() - before,
            "weight_bytes": weights, "torch": torch.__version__}


def main():
    rounds = sys.argv[1] if len(sys.argv) > 1 else "20"
    if len(sys.argv) > 2:
        return print(json.dumps(measure(sys.argv[2], int(rounds))))
    kinds = [json.loads(subprocess.run([sys.executable, __file__, rounds, kind], check=True,
                                       stdout=subprocess.PIPE).stdout) for kind in ("eager", "frozen")]
    print(json.dumps({**kinds[0], **{name: min(k[name] for k in kinds)
                                     for name in ("milliseconds", "peak_mib")}}))


if __name__ == "__main__":
    main()
