#!/usr/bin/python3
"""Trains a network with 3-bit shift weights, as the claims experiment trains, and makes a model file.

    PYTHONPATH=BUILD/python /usr/bin/python3 examples/models/make.py resnet20 --data FOLDER

  resnet8, resnet20   images of CIFAR-10; --data names the folder of its binary batches
  ds_cnn              ten words that Debian's speech synthesizers say (keywords.py)

A training that was interrupted goes on at its last epoch when the same command is given again.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "claims"))

RATE, DECAY = 2.0, 3e-4  # of the shift weights
NORMS = {"cifar10": (0.47, 0.25), "keywords": (0.5, 0.2)}  # images are (q / 255 - mean) / deviation
EPOCHS = {"resnet8": 30, "resnet20": 30, "ds_cnn": 15}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(EPOCHS))
    parser.add_argument("--data", help="folder of the data (default: build/models/DATA)")
    parser.add_argument("--arm", default="s3_3bit", help="of claims/plan.toml (default: s3_3bit)")
    parser.add_argument("--epochs", type=int, help="default: 30; ds_cnn 15")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", help="default: build/models/NETWORK.safetensors")
    o = parser.parse_args()

    import numpy as np
    import s3
    import torch
    from data import load
    from plan import Plan
    from train import train

    torch.set_num_threads(o.threads)
    kind = "keywords" if o.network == "ds_cnn" else "cifar10"
    build = HERE.parent.parent / "build/models"
    build.mkdir(parents=True, exist_ok=True)
    folder = o.data or str(build / kind)
    if kind == "keywords":
        import keywords
        data = keywords.load(folder)
    else:
        data = load(kind, folder)

    plan = Plan()
    arm = plan.arms[o.arm]
    rate, decay = (arm["rate"], arm["decay"]) if o.arm == "fp32" else (RATE, DECAY)
    spec = plan.spec("cifar10", o.arm, rate, decay, o.seed)
    spec.update(data=kind, network=o.network, augment=kind == "cifar10",
                epochs=o.epochs or EPOCHS[o.network])
    start, nets = time.monotonic(), []

    def progress(epoch):
        left = (time.monotonic() - start) / epoch * (spec["epochs"] - epoch)
        print(f"epoch {epoch}/{spec['epochs']}, at most {left / 60:.0f} min left", flush=True)

    record = train(spec, data, str(build / f"{o.network}-{o.arm}.pt"), progress, trained=nets.append)
    net = nets[0].eval()

    mean, std = NORMS[kind]
    integers = s3.convert_network(net, data[0][:500], mean=mean, std=std,
                                  format="int8" if o.arm == "fp32" else arm["format"])
    print(integers.inspect())
    out = o.out or str(build / f"{o.network}.safetensors")
    integers.save(out)
    bytes_ = ((data[2] * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    images = np.ascontiguousarray(bytes_.permute(0, 2, 3, 1).numpy())
    np.save(build / f"{kind}-images.npy", images)
    np.save(build / f"{kind}-labels.npy", data[3].numpy().astype(np.uint8))
    right = integers.run(images).argmax(1) == data[3].numpy()
    print(json.dumps({"file": os.path.basename(out), "accuracy": round(100 * right.mean(), 2),
                      "float_accuracy": record["accuracy"], "loss": record["loss"],
                      "seconds": record["seconds"], "bytes": os.path.getsize(out)}))


if __name__ == "__main__":
    main()
