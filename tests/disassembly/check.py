#!/usr/bin/env python3
"""Reads objdump's disassembly of an object file, which holds shift_add kernels alone, and fails if an
innermost loop multiplies. A loop is the code between a backward jump and its target; innermost, if it
holds no other. Weights and activations are vectors of at most 32 bits there, so products of general
registers and of 64-bit lanes are address arithmetic and may stay.

    check.py OBJDUMP OBJECT          exit 0: no multiplication; 1: the loops that multiply are listed
"""

import re
import subprocess
import sys

MULTIPLY = re.compile(
    r"v?pmul(?!lq)|v?mul[ps][sdh]|v?pmadd|v?fn?m(add|sub)|vpdp|vdpbf|v?dpp[sd]"  # x86
    r"|[su]mull|fml[as]|[su]ml[as]l|ml[as]$|[su]dot|usdot|fmul|fmadd|fmsub"  # aarch64
)
JUMP = re.compile(r"^(j\w+|b(\.\w+)?|cbn?z|tbn?z)$")


def functions(text):
    name, body = None, []
    for line in text.splitlines():
        head = re.match(r"^[0-9a-f]+ <(.*)>:$", line)
        if head:
            if name:
                yield name, body
            name, body = head.group(1), []
            continue
        code = re.match(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", line)
        if code and name:
            body.append((int(code.group(1), 16), code.group(2), code.group(3)))
    if name:
        yield name, body


def innermost_loops(body):
    loops = []
    for address, mnemonic, operands in body:
        target = re.search(r"\b(?:0x)?([0-9a-f]+) <", operands)
        if JUMP.match(mnemonic) and target and int(target.group(1), 16) <= address:
            loops.append((int(target.group(1), 16), address))
    for start, end in loops:
        if not any((s, e) != (start, end) and start <= s and e <= end for s, e in loops):
            yield [i for i in body if start <= i[0] <= end]


def main():
    if len(sys.argv) != 3:
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    objdump, path = sys.argv[1:]
    text = subprocess.run([objdump, "-dC", "--no-show-raw-insn", path], check=True,
                          capture_output=True, text=True).stdout
    kernels = loops = 0
    guilty = []
    for name, body in functions(text):
        kernels += 1
        for loop in innermost_loops(body):
            loops += 1
            guilty += [f"{name}\n    {a:x}: {m} {o}" for a, m, o in loop if MULTIPLY.match(m)]
    print(f"{kernels} functions, {loops} innermost loops, {len(guilty)} multiplications")
    for line in guilty[:20]:
        print(line)
    if kernels == 0 or loops == 0:
        print("no kernel was found: the check does not see what it should")
        return 2
    return 1 if guilty else 0


sys.exit(main())
