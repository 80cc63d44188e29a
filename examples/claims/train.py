"""One run: a task, an arm, rates and a seed -> what every epoch left behind, as a dictionary.

After every epoch a checkpoint is written; a run that was interrupted goes on from it, to the same bits.
"""

import base64
import math
import os
import time

import numpy as np
import torch
from torch import nn

from arms import InnerOptimizer, layer, weights
from data import crop_and_flip
from networks import NETWORKS

BATCH = 128


class Movements:
    """How the inner weights moved: between {-, 0, +} in an epoch, and whether they ever flipped."""

    def __init__(self, inner):
        self.inner = inner
        self.state = [weights(conv).sign() for conv in inner]
        self.last_sign = [s.clone() for s in self.state]
        self.flipped = [torch.zeros_like(s, dtype=torch.bool) for s in self.state]

    def observe(self):
        """Counts over all inner layers: moves[i][j] from state i to j (-, 0, +), direct flips
        moves[0][2] + moves[2][0], and flips in which a zero may lie between."""
        moves, flips = torch.zeros(9, dtype=torch.int64), 0
        for k, conv in enumerate(self.inner):
            now = weights(conv).sign()
            pair = ((self.state[k] + 1) * 3 + now + 1).flatten().long().cpu()
            moves += torch.bincount(pair, minlength=9)
            flip = self.last_sign[k] * now < 0
            flips += int(flip.sum())
            self.flipped[k] |= flip
            self.last_sign[k] = torch.where(now == 0, self.last_sign[k], now)
            self.state[k] = now
        total = sum(f.numel() for f in self.flipped)
        return {"moves": moves.reshape(3, 3).tolist(), "flips": round(flips / total, 5),
                "never_flipped": round(1 - sum(int(f.sum()) for f in self.flipped) / total, 5)}


def _logits(net, images):
    net.eval()
    with torch.no_grad():
        return torch.cat([net(part) for part in images.split(500)])


def train(spec, data, checkpoint=None, progress=lambda epoch: None, stop=lambda: False,
          device="cpu", trained=lambda net: None):
    """Runs `spec` (a dictionary as Plan.spec makes them) on `data` (data.load). Returns the record, or
    None if `stop()` said so between two epochs; then the checkpoint holds what was reached.
    trained(net) is called at the end.
    """
    images, labels, judged_images, judged_labels = data
    precision = spec.get("precision", "float32")  # of operands and activations in training
    if spec["tuning"]:
        kept = len(images) - spec["held_out"]
        judged_images, judged_labels = images[kept:], labels[kept:]
        images, labels = images[:kept], labels[:kept]
    torch.manual_seed(spec["seed"])
    net = NETWORKS[spec["network"]](layer(spec["arm"]), images.shape[1]).to(device)
    net.to(memory_format=torch.channels_last)
    inner = InnerOptimizer(spec["arm"], net, net.inner, spec["rate"], spec["decay"])
    rest = torch.optim.SGD([*net.stem.parameters(), *net.norms.parameters(),
                            *net.last.parameters()], 0.1, momentum=0.9, weight_decay=1e-4)
    movements = Movements(net.inner)
    order = torch.Generator().manual_seed(spec["seed"])
    history, seconds = [], 0.0
    if checkpoint and os.path.exists(checkpoint):
        saved = torch.load(checkpoint, map_location=device)
        if saved["spec"] != spec:
            raise ValueError(f"{checkpoint} is of a run with other settings: remove it")
        net.load_state_dict(saved["net"])
        inner.optimizer.load_state_dict(saved["inner"])
        rest.load_state_dict(saved["rest"])
        order.set_state(saved["order"].cpu())
        movements.__dict__.update(saved["movements"])
        history, seconds = saved["history"], saved["seconds"]

    steps = math.ceil(len(images) / BATCH)
    for epoch in range(len(history), spec["epochs"]):
        if stop():
            return None
        start, total = time.monotonic(), 0.0
        net.train()
        for step, batch in enumerate(torch.randperm(len(images), generator=order).split(BATCH)):
            x = images[batch]
            if spec["augment"]:
                x = crop_and_flip(x, order)
            schedule = (1 + math.cos(math.pi * (epoch + step / steps) / spec["epochs"])) / 2
            with torch.autocast(torch.device(device).type, torch.bfloat16,
                                enabled=precision == "bfloat16"):
                logits = net(x.to(device))
            loss = nn.functional.cross_entropy(logits.float(), labels[batch].to(device))
            rest.zero_grad(set_to_none=True)
            inner.zero_grad()
            loss.backward()
            rest.param_groups[0]["lr"] = 0.1 * schedule
            rest.step()
            inner.step(schedule)
            total += loss.item()
        logits = _logits(net, judged_images.to(device)).cpu()
        right = logits.argmax(1) == judged_labels
        history.append({"loss": round(total / steps, 5),
                        "accuracy": round(100 * right.double().mean().item(), 3),
                        "judged_loss": round(nn.functional.cross_entropy(
                            logits, judged_labels).item(), 5),
                        **movements.observe()})
        seconds += time.monotonic() - start
        if checkpoint and epoch + 1 < spec["epochs"]:
            kept = {"spec": spec, "net": net.state_dict(), "inner": inner.optimizer.state_dict(),
                    "rest": rest.state_dict(), "order": order.get_state(), "history": history,
                    "movements": {k: v for k, v in vars(movements).items() if k != "inner"},
                    "seconds": seconds}
            torch.save(kept, f"{checkpoint}.part")
            os.replace(f"{checkpoint}.part", checkpoint)
        progress(epoch + 1)
    trained(net)
    record = {"spec": spec, "accuracy": history[-1]["accuracy"], "loss": history[-1]["loss"],
              "judged_loss": history[-1]["judged_loss"], "seconds": round(seconds, 1),
              "history": history}
    if not spec["tuning"]:
        bits = np.packbits(right.numpy(), bitorder="little")  # a bit per test image
        record["right"] = base64.b64encode(bits.tobytes()).decode()
    return record
