"""What the issuer sends back to its card: proof of itself (91), and scripts (71, 72) that change the card.

    proof      EXTERNAL AUTHENTICATE, once, where the card wants it as a command (AIP 1:04); others get it in CDOL2
    script     9F18 a name of four bytes, or none; then 86, a command as it goes to the card, as many as there are
    71, 72     before, and after, the second GENERATE AC
    a command  SW1 90, 62 or 63: the next one; anything else ends this script, and the next script is begun

    result of a script, five bytes (DF31 to UnionPay): what happened << 4 | which command failed, from 1, F for 15 and
    later, then the script's name, zeros without one

    0  not performed: it cannot be read    1  failed    2  successful

TVR 5:20 tells of 71, 5:10 of 72, that did not succeed. A script is read as a whole before its first command is sent.

Source: EMV Book 3, 10.9 and 10.10; Book 4, 6.3.9 and Annex A5.
"""

from firmware.emv import apdu, tlv
from firmware.emv.card import Ended, exchange
from firmware.emv.data import ISSUER_AUTHENTICATION, SCRIPTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.emv.card import Step
    from firmware.emv.data import Data

WANTED = 0x04  # AIP byte 1
AUTHENTICATION_FAILED, FAILED_BEFORE, FAILED_AFTER = 0x40, 0x20, 0x10  # TVR byte 5

BEFORE, AFTER = 0x71, 0x72
NAME, COMMAND, RESULTS = 0x9F18, 0x86, 0xDF31

NOT_PERFORMED, FAILED, SUCCESSFUL = 0, 1, 2

MAX_SCRIPTS = 16
MAX_BYTES = 255  # of one script; EMV asks for 128 of all together
SHORTEST, LONGEST = 4, 261  # of a command APDU

GOES_ON = (0x90, 0x62, 0x63)  # SW1


def authenticate(data: "Data", issuer: bytes) -> "Step":
    """Shows the card the issuer's proof, the value of 91, where it wants it and has not had it. Sets TVR and TSI.

    91 is the terminal's to tell from now on, for CDOL2. Ends with "lost".
    """
    if not issuer or len(issuer) > 255:
        return
    data.told[0x91] = bytes(issuer)
    if not data.profile(1, WANTED) or data.tsi[0] & ISSUER_AUTHENTICATION:
        return
    data.set_tsi(ISSUER_AUTHENTICATION)
    _, status = yield from exchange(apdu.external_authenticate(bytes(issuer)))
    if status != apdu.OK:
        data.set_tvr(5, AUTHENTICATION_FAILED)


def run_scripts(data: "Data", scripts: "tuple[tuple[int, bytes], ...]", before: bool) -> "Step":
    """Carries out those of `scripts`, (tag, value), that are due before, or after, the final cryptogram -> their results.

    The results are five bytes a script; they are also added to DF31 as they come, so that they are known if the card leaves.
    Sets TVR and TSI. Ends with "lost".
    """
    due = [bytes(value) for tag, value in scripts[:MAX_SCRIPTS] if tag == (BEFORE if before else AFTER)]
    results = []
    for script in due:
        data.set_tsi(SCRIPTS)
        name, commands = parse(script)
        happened, failed_at, gone = SUCCESSFUL if commands else NOT_PERFORMED, 0, None
        for at in range(len(commands)):
            try:
                _, status = yield from exchange(commands[at])
            except Ended as error:
                gone, status = error, 0
            if status >> 8 not in GOES_ON:
                happened, failed_at = FAILED, min(at + 1, 15)
                break
        if happened != SUCCESSFUL:
            data.set_tvr(5, FAILED_BEFORE if before else FAILED_AFTER)
        results.append(bytes((happened << 4 | failed_at,)) + name)
        data.told[RESULTS] = data.told.get(RESULTS, b"") + results[-1]
        if gone is not None:
            raise gone
    return b"".join(results)


def parse(script: bytes) -> "tuple[bytes, list[bytes]]":
    """(name, commands) of the value of 71 or 72; no commands for one that cannot be read or has none.

    A name at the front is told even if what follows cannot be read. Objects other than 9F18 and 86 are passed over.
    """
    name = script[3:7] if script[:3] == b"\x9f\x18\x04" and len(script) >= 7 else bytes(4)
    if len(script) > MAX_BYTES:
        return name, []
    try:
        tree = tlv.decode(script)
    except tlv.TlvError:
        return name, []
    commands = []
    for tag, value in tree:
        if tag == NAME:
            if len(value) != 4:
                return bytes(4), []
            name = value
        elif tag == COMMAND:
            if not SHORTEST <= len(value) <= LONGEST:
                return name, []
            commands.append(value)
    return name, commands
