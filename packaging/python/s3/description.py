"""The text that the library imports networks from (s3/import/description.hpp), as converters write
it: line by line, with the tensors that belong to the lines.
"""

from ._runtime import Error

KEEP_BYTES = ("maxpool", "upsample", "pad")  # their output has the scale of their input
_READ_MORE = ("add", "mul", "concat")


class Unsupported(Exception):
    """What cannot be converted, and why; it is collected, so that all of it is told at once."""


def need(condition, why):
    if not condition:
        raise Unsupported(why)


def refuse(problems, what):
    """Raises the error that lists all problems, if there are any."""
    if problems:
        count = len(problems)
        raise Error("\n  ".join([f"{count} operation{'s' * (count > 1)} of the {what} cannot be "
                                 "converted:", *problems]))


class Line:
    def __init__(self, word, name, source, words, options):
        self.word, self.name, self.source = word, name, source
        self.words, self.options = list(words), options

    def __str__(self):
        named = [f"name={self.name}"] if self.word in _READ_MORE else []
        first = [] if named or not self.name else [self.name]
        options = [f"{key}={_text(value)}" for key, value in self.options.items()]
        source = [f"from={self.source}"] if self.source else []  # else it reads the line before
        return " ".join(map(str, [self.word, *first, *self.words, *named, *options, *source]))


class Description:
    def __init__(self):
        self.lines, self.tensors, self.by_name = [], {}, {}

    def add(self, word, source, name, words=(), **options):
        """Adds a line that reads the value `source`, and returns the name of its own."""
        name = "".join("_" if c.isspace() or c in "=#" else c for c in name) or word
        unique, count = name, 1
        while unique in self.by_name or unique == "input":
            count += 1
            unique = f"{name}@{count}"
        self.by_name[unique] = Line(word, unique, source, words, options)
        self.lines.append(self.by_name[unique])
        return unique

    def linear(self, source, name, inputs, outputs, flatten):
        """Adds a linear layer of a vector or, with `flatten`, of a whole image."""
        if flatten:
            self.lines.append(Line("flatten", "", source, (), {}))
        name = self.add("linear", None if flatten else source, name, (inputs, outputs))
        return name

    def is_last(self, name):
        return bool(self.lines) and self.lines[-1].name == name

    def text(self):
        return "".join(f"{line}\n" for line in self.lines)


def input_line(sizes, **options):
    """The first line, of an input of these sizes with channels last; options that are None are
    left out, and lists are one number per channel."""
    sizes = [1, 1, *sizes] if len(sizes) == 1 else sizes
    words = ["input", *map(str, sizes)]
    for key, value in options.items():
        if value is not None:
            numbers = value if hasattr(value, "__iter__") else [value]
            words.append(f"{key}=" + ",".join(repr(v) if isinstance(v, int) else repr(float(v))
                                              for v in numbers))
    return " ".join(words) + "\n"


def _text(value):
    return "x".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
