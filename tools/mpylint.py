"""Whether sources stay inside what MicroPython understands, by reading them.

    python -m tools.mpylint [PATH ...]      default: firmware (but __main__), boards, tests/portable

One pass over the syntax tree, with the tables of `mpy_subset.py`. Imports and names of modules are held against positive
lists, the rest against what is known to be missing. Annotations and `if TYPE_CHECKING:` blocks are left out: MicroPython
does not evaluate them. What needs types or values to be seen (the order of a dict, a number too large for `struct`) is left
to the portable tests, pure syntax such as `with (a, b):` to mpy-cross; `make mpy` runs all three.

A line that is right all the same says so, with the rule and the reason:

    tail = rows[::-1]  # mpylint: skip slice-step: a list

A skip that skips nothing is an error too. RULES lists the rules; each has a planted fault in tests/tools/test_mpylint.py.
"""

from __future__ import annotations

import ast
import builtins
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.mpy_subset import (
    ENCODINGS,
    MODULES,
    NEVER_CALLED,
    NO_ATTRIBUTE,
    NO_BUILTIN,
    NO_KEYWORD,
    NO_METHOD,
    OUTSIDE,
    REGEX_UNKNOWN,
    TYPE_NAMES,
)

ROOT = Path(__file__).resolve().parents[1]
# folder: packages of this project that its files may import
FOLDERS = {"firmware": {"firmware"}, "boards": set(), "tests/portable": {"firmware", "tests"}}
LEFT_OUT = {"firmware/__main__.py"}  # joins the ports of a board to the machine, under CPython only

RULES = {
    "import": "the module is not among those that both sides have",
    "api": "the module lacks this name on one side",
    "outside": "the firmware does no I/O and runs no text as code",
    "match": "match statement",
    "except-star": "except*",
    "async": "nothing runs it; what takes time is a task",
    "positional-only": "positional-only parameters",
    "star-display": "* inside a list, tuple, set or subscript",
    "dict-unpack": "** inside a dict; use update()",
    "star-order": "* argument after a keyword argument",
    "decorator": "a decorator is a dotted name or a call of one",
    "never-called": "MicroPython never calls this method",
    "metaclass": "class keywords",
    "bases": "super() of two bases calls only the first",
    "private-name": "__name is not mangled; use one underscore",
    "fstring": "!a, a lambda, or grouped decimals in an f-string",
    "fstring-join": "a plain literal with braces beside an f-string is taken for one",
    "format": "a field of str.format with attribute or index",
    "chaining": "raise ... from is ignored and warns",
    "slice-step": "a slice with a step works for lists only",
    "del-slice": "deleting a slice works for lists only",
    "slice-object": "slice objects cannot be made",
    "type-union": "a union of types is evaluated here",
    "builtin": "the built-in name does not exist",
    "method": "no built-in type has this method",
    "attribute": "the attribute does not exist",
    "exception-init": "call super().__init__(), built-in exceptions have no __init__ of their own",
    "function-attribute": "functions take no attributes",
    "super-property": "super().name returns the property itself",
    "keyword": "the function does not take this keyword",
    "encoding": "only utf-8 and ascii exist, and no error handlers",
    "deque": "deque() needs an iterable and a maximum length",
    "sort-key": "sorting is not stable: put a sequence number into the key",
    "keys-set": "d.keys() is no set",
    "startswith-tuple": "startswith and endswith take no tuple before 1.25",
    "regex": "not understood by MicroPython's re",
    "struct": "the format has a space, a ? or another number of values: not checked when it runs",
    "yield-in-with": "an abandoned generator does not leave the with block",
    "unused-skip": "the skip on this line skips nothing",
}

EXCEPTIONS = {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}
SKIP = re.compile(r"#\s*mpylint:\s*skip\s+([\w-]+)")


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return "%s:%d: %s: %s (%s)" % (self.path, self.line, self.rule, self.what, RULES[self.rule])


class _Reader(ast.NodeVisitor):
    """Collects (line, rule, what) from one tree. `own` are the project's packages that may be imported."""

    def __init__(self, own: set[str]) -> None:
        self.own = own
        self.found: list[tuple[int, str, str]] = []
        self.modules: dict[str, str] = {}
        self.functions: set[str] = set()

    def say(self, node: ast.AST, rule: str, what: str) -> None:
        self.found.append((getattr(node, "lineno", 1), rule, what))

    # -- imports

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if self._known(node, alias.name):
                self.modules[alias.asname or alias.name.split(".")[0]] = alias.name

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level or not self._known(node, node.module or ""):
            return
        names = MODULES.get(node.module or "")
        for alias in node.names:
            if names is not None and alias.name not in names:
                self.say(node, "api", "%s.%s" % (node.module, alias.name))

    def _known(self, node: ast.AST, name: str) -> bool:
        known = name in MODULES or name.split(".")[0] in self.own
        if not known:
            self.say(node, "import", name)
        return known

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self._visit_all(node.orelse)
        else:
            self.generic_visit(node)

    def _visit_all(self, nodes: "list[ast.stmt] | list[ast.expr]") -> None:
        for node in nodes:
            self.visit(node)

    # -- statements

    def visit_Match(self, node: ast.Match) -> None:
        self.say(node, "match", "match")
        self.generic_visit(node)

    def visit_TryStar(self, node: ast.AST) -> None:
        self.say(node, "except-star", "except*")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        if node.cause is not None:
            self.say(node, "chaining", "from")
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        for inner in _own_nodes(node.body):
            if isinstance(inner, (ast.Yield, ast.YieldFrom)):
                self.say(inner, "yield-in-with", "yield")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Slice):
                self.say(node, "del-slice", ast.unparse(target))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id in self.functions:
                self.say(node, "function-attribute", ast.unparse(target))
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value:
            self.visit(node.value)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.say(node, "async", node.name)
        self.visit_FunctionDef(node)

    def visit_FunctionDef(self, node: "ast.FunctionDef | ast.AsyncFunctionDef") -> None:
        self._decorators(node.decorator_list)
        if node.name in NEVER_CALLED:
            self.say(node, "never-called", node.name)
        self._private(node, node.name)
        self._parameters(node.args)
        self._visit_all(node.decorator_list)
        self._visit_all(node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._parameters(node.args)
        self.visit(node.body)

    def _parameters(self, arguments: ast.arguments) -> None:
        if arguments.posonlyargs:
            self.say(arguments.posonlyargs[0], "positional-only", arguments.posonlyargs[0].arg)
        self._visit_all(arguments.defaults + [default for default in arguments.kw_defaults if default])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._decorators(node.decorator_list)
        if node.keywords:
            self.say(node, "metaclass", node.name)
        if len(node.bases) > 1:
            self.say(node, "bases", node.name)
        self.generic_visit(node)

    def _decorators(self, decorators: list[ast.expr]) -> None:
        for decorator in decorators:
            name = decorator.func if isinstance(decorator, ast.Call) else decorator
            while isinstance(name, ast.Attribute):
                name = name.value
            if not isinstance(name, ast.Name):
                self.say(decorator, "decorator", ast.unparse(decorator))

    # -- expressions

    def _display(self, node: "ast.List | ast.Tuple | ast.Set") -> None:
        if isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            for element in node.elts:
                if isinstance(element, ast.Starred):
                    self.say(element, "star-display", ast.unparse(element))
        self.generic_visit(node)

    visit_List = visit_Tuple = visit_Set = _display

    def visit_Dict(self, node: ast.Dict) -> None:
        if None in node.keys:
            self.say(node, "dict-unpack", ast.unparse(node)[:40])
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        if node.is_async:
            self.say(node.target, "async", "comprehension")
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        for part in node.values:
            if not isinstance(part, ast.FormattedValue):
                continue
            if part.conversion == ord("a"):
                self.say(node, "fstring", "!a")
            if any(isinstance(inner, ast.Lambda) for inner in ast.walk(part.value)):
                self.say(node, "fstring", "lambda")
            if part.format_spec and _grouped_decimals(ast.unparse(part.format_spec)):
                self.say(node, "fstring", "grouping")
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        step = node.slice.step if isinstance(node.slice, ast.Slice) else None
        if step is not None and not (isinstance(step, ast.Constant) and step.value == 1):
            self.say(node, "slice-step", ast.unparse(node))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        sides = (node.left, node.right)
        if isinstance(node.op, ast.BitOr) and any(isinstance(side, ast.Name) and side.id in TYPE_NAMES for side in sides):
            self.say(node, "type-union", ast.unparse(node))
        if isinstance(node.op, (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)) and any(_is_keys_call(side) for side in sides):
            self.say(node, "keys-set", ast.unparse(node))
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            if node.id in NO_BUILTIN:
                self.say(node, "builtin", node.id)
            if node.id in OUTSIDE:
                self.say(node, "outside", node.id)
        self._private(node, node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = node.value
        module = self.modules.get(owner.id) if isinstance(owner, ast.Name) else None
        if module in MODULES:
            if node.attr not in MODULES[module]:
                self.say(node, "api", "%s.%s" % (module, node.attr))
            return
        if isinstance(owner, ast.Name) and owner.id in EXCEPTIONS and node.attr == "__init__":
            self.say(node, "exception-init", owner.id)
        if node.attr in NO_METHOD and node.attr.startswith("_") and not _is_self(owner):
            self.say(node, "method", node.attr)
        if node.attr in NO_ATTRIBUTE:
            self.say(node, "attribute", node.attr)
        self._private(node, node.attr)
        self.generic_visit(node)

    def _private(self, node: ast.AST, name: str) -> None:
        if name.startswith("__") and not name.endswith("__"):
            self.say(node, "private-name", name)

    def visit_Call(self, node: ast.Call) -> None:
        name = _called(node)
        for keyword in node.keywords:
            if keyword.arg in NO_KEYWORD.get(name, ()):
                self.say(node, "keyword", "%s(%s=)" % (name, keyword.arg))
        if _star_after_keyword(node):
            self.say(node, "star-order", name)
        if name in NO_METHOD and name[0] != "_" and isinstance(node.func, ast.Attribute) and not _is_self(node.func.value):
            self.say(node, "method", name)
        check = getattr(self, "_call_" + name, None)
        if check:
            check(node)
        # The function of a call is no property: `super().name()` is right, `super().name` alone is not.
        if isinstance(node.func, ast.Attribute) and _is_super(node.func.value):
            self._visit_all(node.args)
            self._visit_all([keyword.value for keyword in node.keywords])
        else:
            self.generic_visit(node)

    def _call_super(self, node: ast.Call) -> None:
        # Reached only where super() is not called through: see visit_Call.
        self.say(node, "super-property", "super()")

    def _call_slice(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name):
            self.say(node, "slice-object", "slice()")

    def _call_deque(self, node: ast.Call) -> None:
        if len(node.args) < 2:
            self.say(node, "deque", "deque()")

    def _call_sorted(self, node: ast.Call) -> None:
        if any(keyword.arg == "key" for keyword in node.keywords):
            self.say(node, "sort-key", ast.unparse(node)[:60])

    _call_sort = _call_sorted

    def _call_encode(self, node: ast.Call) -> None:
        value = _constant(node)
        # Our own encode(fields) and decode(message) take no text here.
        if isinstance(node.func, ast.Attribute) and isinstance(value, str):
            if value.lower() not in ENCODINGS:
                self.say(node, "encoding", value)
            elif len(node.args) > 1:
                self.say(node, "encoding", ast.unparse(node.args[1]))

    _call_decode = _call_encode

    def _call_str(self, node: ast.Call) -> None:
        if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) and node.args[1].value not in ENCODINGS:
            self.say(node, "encoding", str(node.args[1].value))

    _call_bytes = _call_bytearray = _call_str

    def _call_format(self, node: ast.Call) -> None:
        text = node.func.value.value if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant) else ""
        if isinstance(text, str):
            if re.search(r"\{[^{}:!]*[.\[]", text):
                self.say(node, "format", text)
            if any(_grouped_decimals(spec) for spec in re.findall(r"\{[^{}:]*:([^{}]*)\}", text)):
                self.say(node, "fstring", text)

    def _call_startswith(self, node: ast.Call) -> None:
        if node.args and isinstance(node.args[0], ast.Tuple):
            self.say(node, "startswith-tuple", _called(node))

    _call_endswith = _call_startswith

    def _call_compile(self, node: ast.Call) -> None:
        if not (isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name)):
            return
        pattern = _constant(node)
        if self.modules.get(node.func.value.id) == "re" and isinstance(pattern, (str, bytes)):
            text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
            if any(part in text for part in REGEX_UNKNOWN) or re.search(r"(?<!\\)\{\d", text):
                self.say(node, "regex", text)

    _call_match = _call_search = _call_sub = _call_compile

    def _call_pack(self, node: ast.Call) -> None:
        form = _constant(node)
        if not isinstance(form, str) or not self._of_struct(node):
            return
        if " " in form or "?" in form:
            self.say(node, "struct", form)
        elif _called(node) == "pack" and not any(isinstance(argument, ast.Starred) for argument in node.args):
            if _values(form) != len(node.args) - 1:
                self.say(node, "struct", "%s takes %d" % (form, _values(form)))

    _call_unpack = _call_pack_into = _call_unpack_from = _call_calcsize = _call_pack

    def _of_struct(self, node: ast.Call) -> bool:
        if isinstance(node.func, ast.Name):
            return True
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        return isinstance(owner, ast.Name) and self.modules.get(owner.id) == "struct"


def _called(node: ast.Call) -> str:
    function = node.func
    return function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""


def _constant(node: ast.Call) -> object:
    """The first argument, where it is a constant."""
    return node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _called(node) == "super"


def _is_keys_call(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "keys"


def _grouped_decimals(spec: str) -> bool:
    return ("," in spec or "_" in spec) and "." in spec


def _star_after_keyword(node: ast.Call) -> bool:
    """The tree keeps * arguments and keywords apart, so their places in the text are compared."""
    named = [(keyword.value.lineno, keyword.value.col_offset) for keyword in node.keywords if keyword.arg]
    starred = [(argument.lineno, argument.col_offset) for argument in node.args if isinstance(argument, ast.Starred)]
    return bool(named and starred and min(named) < max(starred))


def _values(form: str) -> int:
    """How many values a struct format takes."""
    count = 0
    for repeat, code in re.findall(r"(\d*)([a-zA-Z])", form):
        count += 0 if code == "x" else 1 if code in "sp" else int(repeat or 1)
    return count


def _own_nodes(body: "list[ast.stmt]") -> Iterator[ast.AST]:
    """Every node of these statements that is not in a function of its own."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def _joined_literals(source: str) -> Iterator[int]:
    """Lines where a plain literal with braces stands beside an f-string. The tree shows them as one."""
    previous = ""  # "f": an f-string, "{": a plain literal with braces, "": anything else
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        if name in ("NL", "COMMENT"):
            continue
        if name == "FSTRING_START":  # since 3.12 an f-string is many tokens
            depth += 1
            kind = "f"
        elif name == "FSTRING_END":
            depth -= 1
            kind = "f"
        elif depth:
            continue
        elif name == "STRING":
            prefix = token.string[: token.string.index(token.string[-1])].lower()
            kind = "f" if "f" in prefix else "{" if "{" in token.string or "}" in token.string else previous or "p"
        else:
            kind = ""
        if {kind, previous} == {"f", "{"}:
            yield token.start[0]
        previous = kind


def check(source: str, path: str, own: set[str]) -> list[Finding]:
    """What is wrong with one source. `own`: packages of the project that it may import. Raises SyntaxError."""
    reader = _Reader(own)
    tree = ast.parse(source, path)
    reader.functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    reader.visit(tree)
    found = reader.found + [(line, "fstring-join", "literals") for line in _joined_literals(source)]
    lines = source.splitlines()
    skips = {}
    for number, line in enumerate(lines, 1):
        match = SKIP.search(line)
        if match:
            skips[number] = match[1]
    kept = [one for one in found if skips.get(one[0]) != one[1]]
    for number, rule in skips.items():
        if not any(one[:2] == (number, rule) for one in found):
            kept.append((number, "unused-skip", rule))
    return [Finding(path, *one) for one in sorted(set(kept))]


def sources(folder: str, root: Path = ROOT) -> list[Path]:
    """The sources below a folder of the project, or a file itself, without those that MicroPython never sees."""
    place = root / folder
    found = [place] if place.is_file() else sorted(place.rglob("*.py"))
    return [path for path in found if path.relative_to(root).as_posix() not in LEFT_OUT]


def check_folder(folder: str, root: Path = ROOT) -> list[Finding]:
    """What is wrong below one folder of the project, or with one file of it."""
    own = next((own for name, own in FOLDERS.items() if folder == name or folder.startswith(name + "/")), {"firmware"})
    findings = []
    for path in sources(folder, root):
        findings += check(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), own)
    return findings


def main(argv: list[str], root: Path = ROOT) -> int:
    findings = []
    for folder in argv or list(FOLDERS):
        try:
            findings += check_folder(folder.rstrip("/"), root)
        except SyntaxError as error:
            print("%s:%s: %s" % (error.filename, error.lineno, error.msg))
            return 1
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
