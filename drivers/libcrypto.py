"""The system's OpenSSL (libcrypto 3 or 1.1), called through ctypes.

Block ciphers, their modes and MAC, authenticated encryption and RSA's public operation only; hashes, HMAC and PBKDF2 are in
the standard library. No cipher is written here. The library is opened by its soname at first use
(`ctypes.util.find_library` starts a compiler and takes 20 ms) and only functions that 1.1 and 3 share are bound.

    cipher  key bytes    block  standard
    tdes    8, 16, 24    8      ISO/IEC 18033-3 4.2 (TDEA). 8: single DES, as EDE with K,K,K, because OpenSSL 3 keeps
                                DES itself in a provider that is not loaded. 16: K1,K2,K1.
    aes     16, 24, 32   16     FIPS 197
    sm4     16           16     GB/T 32907-2016; some distributions build OpenSSL without it
    gcm     16, 24, 32   1      AES-GCM, NIST SP 800-38D, 12-byte nonce, 16-byte tag
    ctr     16, 24, 32   1      AES in counter mode, NIST SP 800-38A
    cmac    as its cipher       NIST SP 800-38B; ISO/IEC 9797-1:2011 algorithm 5
    rsa     1 to 512     key    RSAEP, IETF RFC 8017 5.1.1: no padding of its own

Secrets travel in `bytearray`, which `cleanse` can wipe; `bytes` cannot be wiped. Every context is freed through
EVP_CIPHER_CTX_free, which wipes the key schedule.
"""

import ctypes
import types

SONAMES = ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.3.dylib", "libcrypto-3-x64.dll")

# name: (symbol of the ECB mode, symbol of the CBC mode, block bytes); "%d" is the key's length in bits.
CIPHERS = {
    "tdes": ("EVP_des_ede3_ecb", "EVP_des_ede3_cbc", 8),
    "aes": ("EVP_aes_%d_ecb", "EVP_aes_%d_cbc", 16),
    "sm4": ("EVP_sm4_ecb", "EVP_sm4_cbc", 16),
}
KEY_BYTES = {"tdes": (8, 16, 24), "aes": (16, 24, 32), "sm4": (16,)}

NONCE_BYTES = 12
TAG_BYTES = 16
_GCM_GET_TAG, _GCM_SET_TAG = 0x10, 0x11  # EVP_CTRL_AEAD_GET_TAG, _SET_TAG (openssl/evp.h)

_P, _I, _N = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
# name: (result, arguments)
FUNCTIONS = {
    "OpenSSL_version_num": (ctypes.c_ulong, ()),
    "EVP_CIPHER_CTX_new": (_P, ()),
    "EVP_CIPHER_CTX_free": (None, (_P,)),
    "EVP_CIPHER_CTX_set_padding": (_I, (_P, _I)),
    "EVP_CIPHER_CTX_ctrl": (_I, (_P, _I, _I, _P)),
    "EVP_CipherInit_ex": (_I, (_P, _P, _P, _P, _P, _I)),
    "EVP_CipherUpdate": (_I, (_P, _P, _P, _P, _I)),
    "EVP_CipherFinal_ex": (_I, (_P, _P, _P)),
    "OPENSSL_cleanse": (None, (_P, _N)),
    "BN_CTX_new": (_P, ()),
    "BN_CTX_free": (None, (_P,)),
    "BN_new": (_P, ()),
    "BN_bin2bn": (_P, (_P, _I, _P)),
    "BN_cmp": (_I, (_P, _P)),
    "BN_mod_exp": (_I, (_P, _P, _P, _P, _P)),
    "BN_bn2binpad": (_I, (_P, _P, _I)),
    "BN_clear_free": (None, (_P,)),
}
# Of a library that is built without old interfaces they may be missing: bound at their first use.
CMAC_FUNCTIONS = {
    "CMAC_CTX_new": (_P, ()),
    "CMAC_CTX_free": (None, (_P,)),
    "CMAC_Init": (_I, (_P, _P, _N, _P, _P)),
    "CMAC_Update": (_I, (_P, _P, _N)),
    "CMAC_Final": (_I, (_P, _P, ctypes.POINTER(_N))),
}


class CryptoError(Exception):
    """libcrypto is absent, lacks a cipher, or refused the data. Never carries a key or a text."""


class _Library(types.SimpleNamespace):
    """The bound functions, as attributes, and the ciphers found so far."""

    def __init__(self) -> None:
        super().__init__()
        handle, tried = None, []
        for soname in SONAMES:
            try:
                handle = ctypes.CDLL(soname)
                break
            except OSError:
                tried.append(soname)
        if handle is None:
            raise CryptoError("no libcrypto: install OpenSSL 3 or 1.1 (Debian: libssl3); tried " + ", ".join(tried))
        self.soname = soname
        self._handle = handle
        self._ciphers: dict[str, int] = {}
        self.bind(FUNCTIONS)

    def bind(self, functions: dict) -> None:
        for name, (result, arguments) in functions.items():
            try:
                function = getattr(self._handle, name)
            except AttributeError:
                raise CryptoError("%s lacks %s" % (self.soname, name)) from None
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def cipher(self, symbol: str) -> int:
        found = self._ciphers.get(symbol)
        if found is None:
            function = getattr(self._handle, symbol, None)
            if function is not None:
                function.restype, function.argtypes = _P, ()
                found = function()
            if not found:
                raise CryptoError("%s is built without %s" % (self.soname, symbol))
            self._ciphers[symbol] = found
        return found


_library: "_Library | None" = None


def library() -> "_Library":
    """The loaded library. Raises CryptoError where there is none."""
    global _library
    if _library is None:
        _library = _Library()
    return _library


def version() -> str:
    """The library's own word: "3.0.19", "1.1.1"."""
    number = library().OpenSSL_version_num()
    fix = number >> 4 & 0xFFFF if number >> 28 >= 3 else number >> 12 & 0xFF
    return "%d.%d.%d" % (number >> 28, number >> 20 & 0xFF, fix)


def _view(data):
    """What ctypes takes for a pointer: bytes as they are, a bytearray in place, not copied."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, bytearray):
        return (ctypes.c_char * len(data)).from_buffer(data)
    raise TypeError("bytes or bytearray wanted, not %s" % type(data).__name__)


def cleanse(*secrets: bytearray) -> None:
    """Overwrites each bytearray with zeros, in place, in a way that no compiler leaves out."""
    for secret in secrets:
        if secret:
            library().OPENSSL_cleanse((ctypes.c_char * len(secret)).from_buffer(secret), len(secret))


def xor(first: "bytes | bytearray", second: "bytes | bytearray") -> bytearray:
    """Both of one length, byte by byte; the result can be wiped."""
    out = bytearray(first)
    for at, byte in enumerate(second):
        out[at] ^= byte
    return out


class Cipher:
    """One key in one direction, its schedule computed once: for keys that are used again and again.

    Cipher("tdes", key).run(data): ECB. With `iv` CBC, and each `run` goes on where the last one ended.
    One thread at a time. `close` wipes the schedule; the garbage collector does it too.
    """

    def __init__(self, name: str, key: "bytes | bytearray", encrypt: bool = True, iv: "bytes | None" = None) -> None:
        self._context = None
        if len(key) not in KEY_BYTES[name]:
            raise CryptoError("%s: a key of %d bytes" % (name, len(key)))
        ecb, cbc, self.block = CIPHERS[name]
        if iv is not None and len(iv) != self.block:
            raise CryptoError("%s: an initial vector of %d bytes" % (name, len(iv)))
        lib = library()
        cipher = lib.cipher(_symbol(ecb if iv is None else cbc, key))
        long_key = _long_key(name, key)
        self._update, self._free = lib.EVP_CipherUpdate, lib.EVP_CIPHER_CTX_free
        self._context = lib.EVP_CIPHER_CTX_new()
        try:
            if lib.EVP_CipherInit_ex(self._context, cipher, None, _view(long_key), iv, 1 if encrypt else 0) != 1:
                raise CryptoError("%s: libcrypto refuses the key (is it in FIPS mode?)" % name)
        finally:
            cleanse(long_key)
        lib.EVP_CIPHER_CTX_set_padding(self._context, 0)
        self._length = ctypes.c_int()
        self._length_at = ctypes.byref(self._length)

    def run(self, data: "bytes | bytearray") -> bytes:
        """`data`, whole blocks, enciphered or deciphered. For a result that is no secret."""
        out = ctypes.create_string_buffer(len(data))
        self._run(data, out)
        return out.raw

    def run_secret(self, data: "bytes | bytearray") -> bytearray:
        """The same with a result that can be wiped."""
        out = bytearray(len(data))
        self._run(data, _view(out))
        return out

    def _run(self, data, out) -> None:
        size = len(data)
        if size % self.block or not self._context:
            raise CryptoError("%d bytes are not whole blocks" % size if self._context else "the cipher is closed")
        if not size:
            return
        if self._update(self._context, out, self._length_at, data if type(data) is bytes else _view(data), size) != 1:
            raise CryptoError("libcrypto failed")

    def close(self) -> None:
        if self._context:
            self._free(self._context)
            self._context = None

    __del__ = close

    def __enter__(self) -> "Cipher":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _symbol(symbol, key):
    return symbol % (len(key) * 8) if "%d" in symbol else symbol


def _long_key(name, key):
    """The key as the library wants it, for the caller to wipe: triple DES in three parts."""
    if name != "tdes" or len(key) == 24:
        return bytearray(key)
    long_key = bytearray(24)
    for at in range(0, 24, len(key)):
        long_key[at : at + len(key)] = key[: 24 - at]
    return long_key


def _once(name, key, data, encrypt, iv=None) -> bytes:
    with Cipher(name, key, encrypt, iv) as cipher:
        return cipher.run(data)


def cmac(name: str, key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """The CMAC of `data`, any length, under a key of the cipher: one block. Raises CryptoError."""
    out = cmac_secret(name, key, data)
    return bytes(out)


def cmac_secret(name: str, key: "bytes | bytearray", data: "bytes | bytearray") -> bytearray:
    """`cmac` for a result that is a key: it can be wiped."""
    if len(key) not in KEY_BYTES[name]:
        raise CryptoError("%s: a key of %d bytes" % (name, len(key)))
    lib = library()
    if not hasattr(lib, "CMAC_Final"):
        lib.bind(CMAC_FUNCTIONS)
    _, cbc, block = CIPHERS[name]
    cipher = lib.cipher(_symbol(cbc, key))
    out, length, long_key, context = bytearray(block), _N(), _long_key(name, key), lib.CMAC_CTX_new()
    try:
        good = lib.CMAC_Init(context, _view(long_key), len(long_key), cipher, None) == 1
        good = good and (not data or lib.CMAC_Update(context, _view(data), len(data)) == 1)
        if not good or lib.CMAC_Final(context, _view(out), ctypes.byref(length)) != 1 or length.value != block:
            raise CryptoError("cmac: libcrypto failed")
        return out
    finally:
        cleanse(long_key)
        lib.CMAC_CTX_free(context)


def aes_ctr(key: "bytes | bytearray", counter: bytes, data: "bytes | bytearray") -> bytearray:
    """AES in counter mode, its own inverse. counter: the first counter block, 16 bytes; data: any length."""
    if len(key) not in KEY_BYTES["aes"] or len(counter) != 16:
        raise CryptoError("ctr: a key of %d bytes, a counter of %d" % (len(key), len(counter)))
    lib = library()
    cipher = lib.cipher("EVP_aes_%d_ctr" % (len(key) * 8))
    out, length, context = bytearray(len(data)), ctypes.c_int(), lib.EVP_CIPHER_CTX_new()
    try:
        good = lib.EVP_CipherInit_ex(context, cipher, None, _view(key), counter, 1) == 1
        if not good or (data and lib.EVP_CipherUpdate(context, _view(out), ctypes.byref(length), _view(data), len(data)) != 1):
            raise CryptoError("ctr: libcrypto failed")
        return out
    finally:
        lib.EVP_CIPHER_CTX_free(context)


def tdes_ecb_encrypt(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """Triple DES ECB. key: 8 (single DES), 16 or 24 bytes; data: a multiple of 8. Raises CryptoError."""
    return _once("tdes", key, data, True)


def tdes_ecb_decrypt(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """The inverse of `tdes_ecb_encrypt`."""
    return _once("tdes", key, data, False)


def tdes_cbc_encrypt(key: "bytes | bytearray", data: "bytes | bytearray", iv: bytes = bytes(8)) -> bytes:
    """Triple DES CBC; key and data as for ECB. The last block is the ISO/IEC 9797-1 algorithm 1 MAC."""
    return _once("tdes", key, data, True, iv)


def tdes_cbc_decrypt(key: "bytes | bytearray", data: "bytes | bytearray", iv: bytes = bytes(8)) -> bytes:
    """The inverse of `tdes_cbc_encrypt`."""
    return _once("tdes", key, data, False, iv)


def aes_ecb_encrypt(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """AES ECB. key: 16, 24 or 32 bytes; data: a multiple of 16."""
    return _once("aes", key, data, True)


def aes_ecb_decrypt(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """The inverse of `aes_ecb_encrypt`."""
    return _once("aes", key, data, False)


def sm4_ecb_encrypt(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """SM4 ECB. key: 16 bytes; data: a multiple of 16."""
    return _once("sm4", key, data, True)


def sm4_ecb_decrypt(key: "bytes | bytearray", data: "bytes | bytearray") -> bytes:
    """The inverse of `sm4_ecb_encrypt`."""
    return _once("sm4", key, data, False)


def gcm_seal(key: "bytes | bytearray", nonce: bytes, data: "bytes | bytearray", header: bytes = b"") -> bytes:
    """AES-GCM: ciphertext and 16-byte tag. A nonce (12 bytes) serves once a key; `header` is covered, not enciphered."""
    with _Gcm(key, nonce, True) as gcm:
        return bytes(gcm.run(header, data)) + gcm.tag()


def gcm_open(key: "bytes | bytearray", nonce: bytes, sealed: "bytes | bytearray", header: bytes = b"") -> bytearray:
    """What was sealed. Raises CryptoError when a byte of it, of the header or of the key is another."""
    if len(sealed) < TAG_BYTES:
        raise CryptoError("gcm: shorter than its tag")
    with _Gcm(key, nonce, False) as gcm:
        gcm.expect(bytes(sealed[-TAG_BYTES:]))
        return gcm.run(header, sealed[:-TAG_BYTES])


MAX_RSA_BYTES = 512


def rsa_public(modulus: bytes, exponent: int, block: "bytes | bytearray") -> bytes:
    """`block`, as long as the modulus and below it as a number, raised to the exponent: RSA without padding.

    What is in `block` leaves no copy behind. Raises CryptoError.
    """
    size = len(modulus)
    if not 0 < size <= MAX_RSA_BYTES or len(block) != size or exponent < 1:
        raise CryptoError("rsa: %d bytes under a modulus of %d" % (len(block), size))
    lib = library()
    power = exponent.to_bytes((exponent.bit_length() + 7) // 8, "big")
    numbers, context = [], lib.BN_CTX_new()
    try:
        for data in (block, power, modulus):
            numbers.append(lib.BN_bin2bn(_view(data), len(data), None))
        numbers.append(lib.BN_new())
        base, raised, divisor, result = numbers
        out = ctypes.create_string_buffer(size)
        if lib.BN_cmp(base, divisor) >= 0 or lib.BN_mod_exp(result, base, raised, divisor, context) != 1:
            raise CryptoError("rsa: the modulus is none, or not above the block")
        if lib.BN_bn2binpad(result, out, size) != size:
            raise CryptoError("rsa: libcrypto failed")
        return out.raw
    finally:
        for number in numbers:
            lib.BN_clear_free(number)
        lib.BN_CTX_free(context)


class _Gcm:
    """One AES-GCM message."""

    def __init__(self, key, nonce, encrypt):
        self._context = None
        if len(key) not in KEY_BYTES["aes"] or len(nonce) != NONCE_BYTES:
            raise CryptoError("gcm: a key of %d bytes, a nonce of %d" % (len(key), len(nonce)))
        self._lib = lib = library()
        cipher = lib.cipher("EVP_aes_%d_gcm" % (len(key) * 8))
        self._context = lib.EVP_CIPHER_CTX_new()
        if lib.EVP_CipherInit_ex(self._context, cipher, None, _view(key), nonce, 1 if encrypt else 0) != 1:
            raise CryptoError("gcm: libcrypto refuses the key")

    def expect(self, tag):
        self._lib.EVP_CIPHER_CTX_ctrl(self._context, _GCM_SET_TAG, TAG_BYTES, tag)

    def run(self, header, data):
        length = ctypes.c_int()
        out, lib = bytearray(len(data)), self._lib
        good = not header or lib.EVP_CipherUpdate(self._context, None, ctypes.byref(length), header, len(header)) == 1
        if data:
            where = _view(out)
            good = good and lib.EVP_CipherUpdate(self._context, where, ctypes.byref(length), _view(data), len(data)) == 1
        # GCM has no last block: the call only computes or compares the tag.
        good = good and lib.EVP_CipherFinal_ex(self._context, ctypes.byref(ctypes.c_uint64()), ctypes.byref(length)) == 1
        if not good:
            cleanse(out)
            raise CryptoError("gcm: the tag does not fit")
        return out

    def tag(self):
        tag = ctypes.create_string_buffer(TAG_BYTES)
        self._lib.EVP_CIPHER_CTX_ctrl(self._context, _GCM_GET_TAG, TAG_BYTES, tag)
        return tag.raw

    def close(self):
        if self._context:
            self._lib.EVP_CIPHER_CTX_free(self._context)
            self._context = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
