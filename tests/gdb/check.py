"""Whether gdb prints s3's types by packaging/gdb/s3.py as expected.

    check.py GDB PROGRAM PRINTERS
"""

import subprocess
import sys

gdb, program, printers = sys.argv[1:]
EXPECTED = {
    "packed": "value = {value = shift3 2 x 3, 3 bytes, times 2^-1, scale {0.5, 0.25} = "
              "{[0] = {0, 1, -2}, [1] = {4, -1, 0}}}",
    "bytes": "int8 1 x 2, 2 bytes = {[0] = {-128, 127}}",
    "dense": "dense2 1 x 4, 1 bytes = {[0] = {-2, -1, 1, 2}}",
    "odd": "(anonymous namespace)::odd_weights 4 x 1, 2 bytes = {[0] = {3}, [1] = {-3}, [2] = {0}, [3] = {-1}}",
    "filter": "filter 2 x 1 x 2 x 2: shift2 2 x 4, 2 bytes = {[0] = {1, 0, -1, 1}, [1] = {-1, 0, 0, 1}}",
    "borrowed": "shift3 2 x 3, 3 bytes = {[0] = {0, 1, -2}, [1] = {4, -1, 0}}",
    "refused": "error weights[1]: value is not in the weight format (got 3, limit 4)",
    "bad": "error x: buffer is too small (got 0, needs 12)",
    "good": "success",
    "described": "error net.st: no such file",
    "view": "const signed char 2 x 3, stride 5 = {[0] = {65, -2, 3}, [1] = {6, 7, 8}}",
    "short_view": "const signed char 9 x 9, of 9 elements, which are too few",
    "image": "const signed char 1 x 2 x 2 x 2, nchw = {elements = {65, -2, 3, 4, 5, 6, 7, 8}}",
    "held": "float [2] {0.5, 0.25}",
    "nothing": "float [0] {}",
    "kind": "s3::nonlinearity::relu",
}
if b"libc++.so" in open(program, "rb").read():  # whose strings gdb itself has no printer for
    EXPECTED["described"] = "error file: input or output failed"
commands = [f"source {printers}", "set print elements 8", "break look", "run", "up"]
commands += [f"print {name}" for name in EXPECTED]
commands += ["set print elements 1", "print packed"]
done = subprocess.run([gdb, "-nx", "-batch", *(x for c in commands for x in ("-ex", c)), program],
                      capture_output=True, text=True)
lines = done.stdout.splitlines()
got = dict(line.split(" = ", 1) for line in lines if line.startswith("$"))
if "ptrace" in done.stderr:  # some containers do not let a process look into another
    print(f"not tried: {done.stderr}")
    sys.exit(77)
if "$1" not in got:
    sys.exit(f"gdb printed nothing:\n{done.stdout}{done.stderr}")
wrong = 0
wanted = [*EXPECTED.items(), ("packed, of which little is shown",
          "value = {value = shift3 2 x 3, 3 bytes, times 2^-1, scale {0.5...} = "
          "{[0] = {0...}...}...}")]
for i, (name, text) in enumerate(wanted, 1):
    if got.get(f"${i}") != text:
        print(f"{name}: gdb printed {got.get(f'${i}')}\n{' ' * len(name)}  instead of  {text}")
        wrong += 1
# The library's own words for the same errors, which the program prints.
for name in ("refused", "bad"):
    if EXPECTED[name].removeprefix("error ") not in lines:
        print(f"{name}: the library says something else")
        wrong += 1
print(f"{len(wanted)} values printed, {wrong} otherwise than expected")
sys.exit(wrong != 0)
