"""What firmware/ may use: the common part of CPython and MicroPython 1.24 .. 1.29, as tables for `mpylint.py`.

The lists of modules and of their names are positive: what is not named does not exist. Those of methods, keywords and
built-ins are negative: what CPython has and MicroPython has not. Where versions of MicroPython differ, the oldest counts.

Source: dir() and snippets run on the unix port and under CPython 3.11; the MicroPython documentation, "differences from CPython".
"""

# module: its names that exist on both sides
MODULES = {
    "array": {"array"},
    "binascii": {"a2b_base64", "b2a_base64", "crc32", "hexlify", "unhexlify"},
    "collections": {"OrderedDict", "deque", "namedtuple"},
    "errno": set(
        "EACCES EADDRINUSE EAGAIN EALREADY EBADF ECONNABORTED ECONNREFUSED ECONNRESET EEXIST EHOSTUNREACH EINPROGRESS EINVAL "
        "EIO EISDIR ENOBUFS ENODEV ENOENT ENOMEM ENOTCONN EOPNOTSUPP EPERM ETIMEDOUT errorcode".split()
    ),
    "gc": {"collect", "disable", "enable", "isenabled"},
    "hashlib": {"md5", "sha1", "sha256"},
    "heapq": {"heapify", "heappop", "heappush"},
    "io": {"BytesIO"},
    "json": {"dumps", "loads"},
    "math": set(
        "acos acosh asin asinh atan atan2 atanh ceil copysign cos cosh degrees e erf erfc exp expm1 fabs factorial floor fmod "
        "frexp gamma inf isclose isfinite isinf isnan ldexp lgamma log log10 log2 modf nan pi pow radians sin sinh sqrt tan "
        "tanh tau trunc".split()
    ),
    "re": {"compile", "match", "search", "sub"},
    "struct": {"calcsize", "pack", "pack_into", "unpack", "unpack_from"},
    "sys": {"byteorder", "implementation", "maxsize", "modules", "version", "version_info"},
}  # fmt: skip

# Built-in names that MicroPython does not define.
NO_BUILTIN = set(
    "FileNotFoundError FileExistsError PermissionError TimeoutError ConnectionError ConnectionResetError "
    "ConnectionRefusedError ConnectionAbortedError BrokenPipeError InterruptedError BlockingIOError IsADirectoryError "
    "NotADirectoryError ProcessLookupError ChildProcessError IOError EnvironmentError UnicodeDecodeError UnicodeEncodeError "
    "UnicodeTranslateError RecursionError ModuleNotFoundError Warning UserWarning DeprecationWarning RuntimeWarning "
    "FloatingPointError BufferError ReferenceError ExceptionGroup BaseExceptionGroup vars ascii breakpoint aiter anext".split()
)

# Built-in functions that reach outside: not the firmware's business, whatever the interpreter.
OUTSIDE = {"open", "input", "print", "exec", "eval", "__import__"}

# Methods and attributes that no built-in type of MicroPython has.
NO_METHOD = set(
    "ljust rjust zfill casefold capitalize swapcase title isalnum isidentifier isascii isprintable isdecimal isnumeric istitle "
    "expandtabs translate maketrans format_map removeprefix removesuffix hexdigest bit_length bit_count as_integer_ratio "
    "is_integer tobytes move_to_end _replace _asdict _fields _make with_traceback add_note writelines "
    "truncate getbuffer groups groupdict lastindex fullmatch findall finditer".split()
)

NO_ATTRIBUTE = set(
    "__cause__ __context__ __traceback__ __mro__ __annotations__ __doc__ __defaults__ __qualname__ __func__ __self__ "
    "__code__ __wrapped__ __subclasses__".split()
)

# Special methods that MicroPython never calls.
NEVER_CALLED = set(
    "__format__ __index__ __bytes__ __missing__ __getattribute__ __init_subclass__ __class_getitem__ __set_name__ __prepare__ "
    "__instancecheck__ __subclasscheck__ __length_hint__ __fspath__ __round__ __trunc__ __floor__ __ceil__ __getstate__ "
    "__sizeof__".split()
)

# function or method: keywords that it does not take
NO_KEYWORD = {
    "zip": {"strict"},
    "int": {"base"},
    "str": {"encoding", "errors"},
    "bytes": {"encoding", "errors"},
    "bytearray": {"encoding", "errors"},
    "sum": {"start"},
    "round": {"ndigits"},
    "pow": {"mod", "exp", "base"},
    "namedtuple": {"defaults", "rename", "module"},
    "deque": {"maxlen", "iterable"},
    "dumps": {"indent", "sort_keys", "ensure_ascii", "default", "cls", "allow_nan", "skipkeys"},
    "loads": {"object_hook", "parse_float", "parse_int", "cls", "object_pairs_hook"},
    "to_bytes": {"length", "byteorder", "signed"},
    "from_bytes": {"bytes", "byteorder", "signed"},
    "decode": {"encoding", "errors"},
    "encode": {"encoding", "errors"},
    "split": {"sep", "maxsplit"},
    "rsplit": {"sep", "maxsplit"},
    "sub": {"count", "flags"},
    "compile": {"flags"},
}

ENCODINGS = {"utf-8", "utf8", "ascii"}
REGEX_UNKNOWN = ("(?P", "(?=", "(?!", "(?<", "(?i", "(?s", "(?m", "(?x", "\\1", "\\2", "\\b", "\\B", "\\A", "\\Z")
TYPE_NAMES = {"int", "str", "bytes", "bytearray", "dict", "list", "tuple", "set", "float", "bool", "object"}
