#!/usr/bin/python3
r"""Data-parallel training of a 3-bit shift network on Fashion-MNIST, on one host or several.

One command per process, the same on one host or several; RANK counts from 0, ADDRESS is that of
the host of rank 0, and eth0 the network between them (lo within one host):

    GLOO_SOCKET_IFNAME=eth0 MASTER_ADDR=ADDRESS MASTER_PORT=29500 WORLD_SIZE=2 RANK=0 \
        PYTHONPATH=BUILD/python /usr/bin/python3 train.py

(torch.distributed.run of PyTorch 1.13 does not start under Python 3.11.)

The fused optimizer makes the discrete weights' gradients what is reduced, one float per weight.
"""

import argparse
import gzip
import math
import os

parser = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
parser.add_argument("--epochs", type=int, default=12)
parser.add_argument("--images", type=int, default=60000)
parser.add_argument("--batch", type=int, default=128, help="of all processes together")
parser.add_argument("--export", help="folder for the packed layers")
o = parser.parse_args()  # --help is answered before anything is installed

import s3.torch
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def read(folder, part):
    with gzip.open(f"{folder}/{part}-images-idx3-ubyte.gz") as f:
        images = torch.frombuffer(bytearray(f.read()[16:]), dtype=torch.uint8)
    with gzip.open(f"{folder}/{part}-labels-idx1-ubyte.gz") as f:
        labels = torch.frombuffer(bytearray(f.read()[8:]), dtype=torch.uint8)
    return images.reshape(-1, 1, 28, 28), labels.long()


def network():
    layers, channels = [], 1
    for out, stride in [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1)]:
        layers += [nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out),
                   nn.ReLU(inplace=True)]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def main():
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))

    torch.manual_seed(1)
    model = s3.torch.convert(network(), "shift3")
    shift = s3.torch.FusedSGD(model, dense=1e-5)
    rest = torch.optim.SGD(s3.torch.other_parameters(model), 0.1, momentum=0.9, weight_decay=1e-4)
    parallel = DistributedDataParallel(model)

    images, labels = read(o.data, "train")
    images, labels = images[: o.images], labels[: o.images]
    batches = len(images) // o.batch
    schedules = [torch.optim.lr_scheduler.LambdaLR(
        opt, lambda n: (1 + math.cos(math.pi * n / (o.epochs * batches))) / 2)
        for opt in (shift, rest)]
    order = torch.Generator().manual_seed(1)
    for epoch in range(o.epochs):
        model.train()
        total = 0.0
        chosen = torch.randperm(len(images), generator=order)[: batches * o.batch]
        for batch in chosen.reshape(batches, o.batch):
            mine = batch[rank::world]
            loss = nn.functional.cross_entropy(parallel(images[mine].float() / 255), labels[mine])
            rest.zero_grad()
            shift.zero_grad()
            loss.backward()
            rest.step()
            shift.step()
            for schedule in schedules:
                schedule.step()
            total += loss.item() / batches
        if rank == 0:
            print(f"epoch {epoch + 1}/{o.epochs}  loss {total:.3f}", flush=True)
    if rank == 0:
        model.eval()
        test, truth = read(o.data, "t10k")
        with torch.no_grad():
            found = torch.cat([model(x.float() / 255).argmax(1) for x in test.split(500)])
        print(f"test accuracy {100 * (found == truth).float().mean():.2f}%")
        if o.export:
            os.makedirs(o.export, exist_ok=True)
            for name, record in s3.torch.export(model).items():
                with open(f"{o.export}/{name}.s3w", "wb") as f:
                    f.write(record)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
