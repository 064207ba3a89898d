"""The host's side of TLS, between bytes and bytes: what came from the wire in, what is for the wire and what is plain out.

    secure = Secure(context)
    plain = secure.feed(from_the_wire)    again and again; then wire(secure.take()), whether or not there is plain
    secure.write(plain)                   once `ready`; take() has it for the wire

asyncio has a TLS of its own, which keeps a quarter of a megabyte for each connection; this one keeps what has not been read.
"""

import ssl

CHUNK = 16_384  # the most that one record holds


class SecureError(Exception):
    """There is no connection, or no more; the text says why, in words. `take` has what the terminal is to be told."""


# What a terminal says of a certificate that it does not take, and what else ends a handshake: OpenSSL's word -> ours.
REASONS = {
    "TLSV1_ALERT_UNKNOWN_CA": "the terminal does not know who signed the certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the terminal finds the certificate expired",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the terminal refuses the certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the terminal refuses the certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the terminal does not speak this version of TLS",
    "UNSUPPORTED_PROTOCOL": "the terminal does not speak this version of TLS",
    "NO_PROTOCOLS_AVAILABLE": "this host's OpenSSL does not speak this version of TLS",
    "WRONG_VERSION_NUMBER": "not TLS: a terminal without it?",
    "HTTP_REQUEST": "not TLS: a browser?",
}


class Secure:
    """One connection's server side.

    ready   the handshake is done       ended   the terminal has said that it is through
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_side=True)
        self.ready = False
        self.ended = False

    def take(self) -> bytes:
        """What is to go out on the wire, b"" for nothing."""
        return self._out.read()

    def feed(self, data: bytes) -> bytes:
        """Takes what came from the wire -> plain. Raises SecureError."""
        plain = b""
        self._in.write(data)
        try:
            if not self.ready:
                self._object.do_handshake()
                self.ready = True
            while not self.ended:
                piece = self._object.read(CHUNK)
                plain += piece
                self.ended = not piece
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            raise SecureError("TLS: " + REASONS.get(error.reason, "%s" % error.reason)) from None
        return plain

    def write(self, data: bytes) -> None:
        """Plain bytes. Raises SecureError."""
        try:
            self._object.write(data)
        except ssl.SSLError as error:
            raise SecureError("TLS: " + REASONS.get(error.reason, "%s" % error.reason)) from None

    def close(self) -> None:
        """Says goodbye; `take` has it. The terminal's goodbye is not waited for."""
        try:
            self._object.unwrap()
        except (ssl.SSLError, ValueError):
            pass
