#!/usr/bin/env python3
"""A PyTorch checkpoint as a safetensors file for `s3shift import`. Needs torch and NumPy alone.

    export_checkpoint.py checkpoint.pt checkpoint.safetensors

The checkpoint is a state dict, or a dict that holds one as "state_dict" or "model". Checkpoints are
pickles: load only those you trust.
"""

import sys


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    import torch  # not before --help is answered

    import safetensors

    state = torch.load(sys.argv[1], map_location="cpu")
    if hasattr(state, "state_dict"):
        state = state.state_dict()
    for key in ("state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
    arrays = {}
    for name, tensor in state.items():
        if not torch.is_tensor(tensor):
            sys.exit(f"{name} is not a tensor: is this a state dict?")
        # Half precision becomes single; a prefix of parallel training goes.
        tensor = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
        arrays[name[7:] if name.startswith("module.") else name] = tensor.contiguous().numpy()
    safetensors.write(sys.argv[2], arrays)


if __name__ == "__main__":
    main()
