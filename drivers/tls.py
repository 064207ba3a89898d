"""TLS over any byte stream: bytes from the wire in, bytes for the wire and plain bytes out. No socket in sight.

    tls = contexts.open(authority, host, port)
    wire(tls.take())                  the first flight
    plain = tls.feed(from_the_wire)   again and again; then wire(tls.take()), whether or not there is plain
    tls.ready                         the handshake is done: `write` may be called
    tls.ended                         the other side has said that it is through (close_notify)

TLS 1.2 or better. The host's certificate must come from the pinned authority (any certificate of its chain, so that an
acquirer may name its own) or, without one, from the system's; and it must name the host that was asked for, be it a
name or an address. What is refused, and in which word of `ports.LINK_FAULTS`, is in WHY.

Contexts keep what is costly: authorities once read, and the last session with each host, with which the next
connection does without the certificates. `ssl` is imported by the first connection, not with this module.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

CHUNK = 16_384  # the most that one TLS record holds
MOST_AUTHORITIES = 4

# OpenSSL's X509_V_ERR_ numbers -> ports.LINK_FAULTS; any other is "tls".
WHY = {
    2: "tls-unknown",  # unable to get issuer certificate
    7: "tls-unknown",  # certificate signature failure
    9: "tls-expired",  # not yet valid
    10: "tls-expired",  # has expired
    18: "tls-unknown",  # self-signed
    19: "tls-unknown",  # self-signed certificate in chain
    20: "tls-unknown",  # unable to get local issuer certificate
    21: "tls-unknown",  # unable to verify the first certificate
    27: "tls-unknown",  # not trusted
    28: "tls-unknown",  # rejected
    62: "tls-name",  # host name mismatch
    64: "tls-name",  # IP address mismatch
}


class TlsError(Exception):
    """There is no trusted connection, or no more; `why` is one of ports.LINK_FAULTS. plain: the pieces that were good, before.
    `Tls.take` has what the other side is to be told."""

    def __init__(self, why: str, plain: "list[bytes] | None" = None):
        super().__init__(why)
        self.why = why
        self.plain = plain or []


class Tls:
    """One connection's client side."""

    def __init__(self, context: "ssl.SSLContext", host: str, session: "ssl.SSLSession | None" = None):
        """Raises TlsError for a name that no certificate can have."""
        import ssl

        self._error = ssl.SSLError
        self._dry = ssl.SSLWantReadError
        self._through = ssl.SSLZeroReturnError
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ready = False
        self.ended = False
        try:
            self._object = context.wrap_bio(self._in, self._out, server_hostname=host, session=session)
        except (ssl.SSLError, ValueError, TypeError):
            raise TlsError("tls") from None
        self._shake()

    @property
    def session(self) -> "ssl.SSLSession | None":
        """With what the next connection to this host may begin; complete once the host has spoken."""
        return self._object.session

    def take(self) -> bytes:
        """What is to go out on the wire, b"" for nothing."""
        return self._out.read()

    def feed(self, data: bytes) -> list[bytes]:
        """Takes what came from the wire -> plain pieces. Raises TlsError."""
        plain: list[bytes] = []
        self._in.write(data)
        try:
            if not self.ready:
                self._shake()
            while self.ready and not self.ended:
                piece = self._object.read(CHUNK)
                if piece:
                    plain.append(piece)
                else:
                    self.ended = True
        except self._dry:
            pass
        except self._through:
            self.ended = True
        except self._error as error:
            raise TlsError(_why(error), plain) from None
        return plain

    def write(self, data: bytes) -> None:
        """Plain bytes, once it is ready; `take` has them for the wire. Raises TlsError."""
        try:
            self._object.write(data)
        except self._error as error:
            raise TlsError(_why(error)) from None

    def close(self) -> None:
        """Says goodbye; `take` has it for the wire. The other side's goodbye is not waited for."""
        try:
            self._object.unwrap()
        except (self._error, ValueError):
            pass

    def _shake(self) -> None:
        try:
            self._object.do_handshake()
        except self._dry:
            return
        except self._error as error:
            raise TlsError(_why(error)) from None
        self.ready = True


def _why(error: "ssl.SSLError") -> str:
    return WHY.get(getattr(error, "verify_code", 0), "tls")


class Contexts:
    """Authorities and sessions, for one thread."""

    def __init__(self) -> None:
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._sessions: dict[tuple[str, str, int], ssl.SSLSession | None] = {}

    def open(self, authority: str, host: str, port: int) -> Tls:
        """authority: PEM, "" for the system's. Raises TlsError."""
        return Tls(self._context(authority), host, self._sessions.pop((authority, host, port), None))

    def keep(self, authority: str, host: str, port: int, tls: Tls) -> None:
        """The connection has done well: the next one to this host may go on with its session."""
        if tls.ready and authority in self._contexts:
            self._sessions[authority, host, port] = tls.session

    def _context(self, authority: str) -> "ssl.SSLContext":
        """Reading the system's authorities takes a tenth of a second on a small board: once is enough."""
        import ssl

        if authority not in self._contexts:
            if len(self._contexts) >= MOST_AUTHORITIES:
                self._contexts.clear()
                self._sessions.clear()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
            try:
                if authority:
                    context.load_verify_locations(cadata=authority)
                    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
                else:
                    context.load_default_certs()
            except (ssl.SSLError, ValueError, TypeError):
                raise TlsError("tls") from None
            self._contexts[authority] = context
        return self._contexts[authority]
