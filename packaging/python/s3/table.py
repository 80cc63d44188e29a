"""Rows for people: text in a terminal, HTML in a notebook."""

import html


class Table:
    """Titles, rows of cells, and a note below them. Numbers are aligned to the right."""

    def __init__(self, titles, rows, note=""):
        self.titles, self.rows, self.note = titles, rows, note

    def _cells(self):
        return [[_text(cell) for cell in row] for row in self.rows]

    def __repr__(self):
        rows = [self.titles, *self._cells()]
        widths = [max(len(row[c]) for row in rows) for c in range(len(self.titles))]
        right = [any(_is_number(row[c]) for row in self.rows) for c in range(len(self.titles))]
        lines = ["  ".join(cell.rjust(w) if r else cell.ljust(w)
                           for cell, w, r in zip(row, widths, right)).rstrip() for row in rows]
        lines.insert(1, "  ".join("-" * w for w in widths))
        return "\n".join(lines + ([self.note] if self.note else []))

    def _repr_html_(self):
        def row(tag, cells):
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(row("td", cells) for cells in self._cells())
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return f"<table><thead>{row('th', self.titles)}</thead><tbody>{body}</tbody></table>{note}"


def _is_number(cell):
    return isinstance(cell, (int, float))


def _text(cell):
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
