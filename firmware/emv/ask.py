"""What a kernel asks besides the card: of the holder, the merchant, the vault, the terminal's books, the issuer.

A kernel is a generator. It yields a command APDU (bytes), answered by the response (bytes) or None for a card that has
left, or one of these questions, answered as each says. Whoever runs it answers; the kernel knows no page and no port.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.outcome import Outcome

# What may come of a PIN page besides a PIN.
BYPASS = "bypass"  # nothing typed, and confirmed
CANCEL = "cancel"
BROKEN = "broken"  # the PIN pad, or the keys for it

PLAINTEXT, ENCIPHERED = "plaintext", "enciphered"


class Choose:
    """Which application? Answer: index into `names`, or None when the holder cancels.

    names   what each is called, as the card has it, in the order of preference
    again   the one chosen before did not work
    single  there is only one and the card wants it confirmed
    """

    def __init__(self, names: "list[str]", again: bool = False, single: bool = False) -> None:
        self.names = names
        self.again = again
        self.single = single


class OnlinePin:
    """A PIN for the issuer. Answer: "entered", BYPASS, CANCEL or BROKEN. pan: digits, for the PIN block."""

    def __init__(self, pan: str) -> None:
        self.pan = pan

    def __repr__(self) -> str:
        return "OnlinePin()"


class OfflinePin:
    """A PIN for the card: the vault builds the VERIFY command and sends it itself.

    kind        PLAINTEXT or ENCIPHERED
    key         (modulus as bytes, exponent as integer) of the card's PIN key, for ENCIPHERED
    challenge   eight bytes of the card, for ENCIPHERED
    tries_left  as the card says, None when it does not
    Answer: the card's status word as an integer, None when the card has left, BYPASS, CANCEL or BROKEN.
    """

    def __init__(
        self, kind: str, key: "tuple[bytes, int] | None" = None, challenge: bytes = b"", tries_left: "int | None" = None
    ) -> None:
        self.kind = kind
        self.key = key
        self.challenge = challenge
        self.tries_left = tries_left


class CheckDocument:
    """An identity document (PBOC). kind: name of the document; number: as the card has it. Answer: True, False, or CANCEL."""

    def __init__(self, kind: str, number: str) -> None:
        self.kind = kind
        self.number = number

    def __repr__(self) -> str:
        return "CheckDocument(%s)" % self.kind


class LastAmount:
    """The amount in fen of the newest sale of this card in the terminal's log. Answer: int, 0 for none."""

    def __init__(self, pan: str, sequence: str) -> None:
        self.pan = pan
        self.sequence = sequence

    def __repr__(self) -> str:
        return "LastAmount()"


class OnException:
    """Whether this card is on the terminal's exception file. Answer: bool."""

    def __init__(self, pan: str, sequence: str) -> None:
        self.pan = pan
        self.sequence = sequence

    def __repr__(self) -> str:
        return "OnException()"


class GoOnline:
    """The issuer is to decide. Answer: a Reply. outcome: everything that the request to the host needs."""

    def __init__(self, outcome: "Outcome") -> None:
        self.outcome = outcome


class Refer:
    """The issuer wants to be called (01, 02). Answer: True when the merchant has its word, False to decline."""

    def __init__(self, code: str) -> None:
        self.code = code


class Reply:
    """What came of going online.

    code     8A, two characters as the host gave them in F39; "" when the host could not be reached
    issuer   value of tag 91, b"" for none
    scripts  the templates 71 and 72 as (tag, value) in the order in which they came
    approved the host approved (which codes do is the host profile's business)
    offline  the kernel may approve although the host was not reached: nothing has left the terminal
    """

    def __init__(
        self,
        code: str = "",
        approved: bool = False,
        issuer: bytes = b"",
        scripts: "tuple[tuple[int, bytes], ...]" = (),
        offline: bool = True,
    ) -> None:
        self.code = code
        self.approved = approved
        self.issuer = issuer
        self.scripts = scripts
        self.offline = offline
