#!/usr/bin/env python3
"""A PyTorch checkpoint as a safetensors file, for a program s3shift without the Python package, which
reads checkpoints itself. Needs torch and NumPy alone.

    export_checkpoint.py checkpoint.pt checkpoint.safetensors

The checkpoint is a state dict, or a dict that holds one as "state_dict" or "model". Checkpoints are
pickles: load only those you trust.
"""

import sys
from pathlib import Path


def main():
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
        return
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    # At the end: a folder there is named torch, too.
    sys.path.append(str(Path(__file__).resolve().parents[2] / "packaging/python/s3"))
    import checkpoint  # which imports torch: not before --help is answered
    import safetensors

    try:
        safetensors.write(sys.argv[2], checkpoint.state_dict(sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
