"""What a state shows. A screen knows nothing about pixels.

    title     one line, shown inverse at the top, or "" for none
    lines     up to four lines of text (three with keys; with `big` one above it and one below)
    big       one line of large digits: an amount, a number of stars
    keys      (left, right) words for cancel and confirm, in the last line, or ("", "")
    progress  None, or 0..100 for a bar in the last line
    menu      tuple of (digit, text): a numbered menu, in two columns when it is longer than the rows; `lines` is then empty
    style     "" or "alert": the title stands between warning stripes

States write message keys; `texts.resolve` turns a Screen of keys into a Screen of text, and only that reaches
the display port.
"""


class Screen:
    def __init__(self, title="", lines=(), big="", keys=("", ""), progress=None, menu=(), style=""):
        self.title = title
        self.lines = tuple(lines)
        self.big = big
        self.keys = tuple(keys)
        self.progress = progress
        self.menu = tuple(menu)
        self.style = style

    def parts(self):
        return (self.title, self.lines, self.big, self.keys, self.progress, self.menu, self.style)

    def __eq__(self, other):
        return isinstance(other, Screen) and self.parts() == other.parts()

    def __repr__(self):
        return "Screen(%r, %r, %r)" % (self.title, self.lines, self.big)
