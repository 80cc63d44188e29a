"""What torch.save wrote, as arrays. This file needs torch alone, not the compiled package."""

import torch


def state_dict(path):
    """{name: NumPy array} of a file that holds a state dict, a dict with one as "state_dict" or
    "model", or a module. Half precision becomes single, a prefix of parallel training goes.

    Such files are pickles, which run code: load only those you trust. Raises ValueError for others.
    """
    state = load(path)
    if isinstance(state, torch.nn.Module):
        state = state.state_dict()
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise ValueError(f"{path}: holds a {type(state).__name__}, not a state dict")
    arrays = {}
    for name, tensor in state.items():
        if not torch.is_tensor(tensor):
            raise ValueError(f"{path}: {name} is not a tensor: is this a state dict?")
        tensor = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
        arrays[name[7:] if name.startswith("module.") else name] = tensor.contiguous().numpy()
    return arrays


def load(path):
    """What torch.save wrote into a file. Raises ValueError where it cannot be read."""
    try:
        return torch.load(path, map_location="cpu")
    except Exception as error:  # pickle raises whatever the file makes it raise
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from None
