"""Three RSA keys and what an issuer signs with them, for tests of offline data authentication under both Pythons.

Test keys, made for these tests and published here with their private exponents: they protect nothing. A block is signed as
EMV Book 2 lays it out; every field can be bent. The largest key stands for any signer whose certificates leave no remainder.
"""

import hashlib
from binascii import hexlify, unhexlify

from firmware.emv.data import Data
from firmware.emv.settings import Request, Settings
from tests.portable.plain_settings import TERMINAL_DATA, UNIONPAY_ROWS

PROVIDER, INDEX = "A000000333", "E1"
NUMBER = "6200000000000005"  # of no issuer: a test number
DATE = "261120"
PROFILE = "7D00"


def hexes(text):
    return unhexlify(text.replace(" ", ""))


class Key:
    """modulus: bytes; exponent: integer; sign: the private operation on a block as long as the modulus."""

    def __init__(self, modulus, exponent, private):
        self.modulus = unhexlify(modulus)
        self.size = len(self.modulus)
        self.exponent = exponent
        self._private = int(private, 16)

    def sign(self, block):
        number = pow(int.from_bytes(block, "big"), self._private, int.from_bytes(self.modulus, "big"))
        return number.to_bytes(self.size, "big")

    def exponent_bytes(self):
        return b"\x03" if self.exponent == 3 else b"\x01\x00\x01"


LARGE, MIDDLE, SMALL = (
    Key(  # 1984 bits, exponent 65537
        "AC04D21323BE43A4B3330F294845A44010D16526211E2F754940014A583F524EDAF582FD125559C563366C5DAD7BA56F07EFC8D0BC0952B3"
        "5384636A8CD1A766AF4CD6CA8F433BEA24F755C51BD5A74FAA13B74820D84112156B43D7E8A0E4C2C6135BAEA37851F07E765D8242B4C8BC"
        "430B1B1BD2337CCE91F5230345545D6E4DFD8BE072694F07B4786057ACD460974394550F576B9FDB312441571F90D5D187F971F563305C60"
        "9B6960BCD6A0CF5162F828FEE10DA70F960B02932D3A20F8464768ACFB76E36E5F04C67D64CDBC95E19BFA6A28091F6D1246341C91FCB92F"
        "1ADFE43874AA38BF570A50EFB97B3A78C765CB84C9A767ED",
        65537,
        "33882A2AC3AD6EF43B1ED3AEE950BB98D9B0F11D50148BE115F58FAD66EC694AE83B5E675403AFA5FB47C584F6C0B0D9A7460521CB02FBFC"
        "6ECB9D40C138D96E609BA349014C01F9EDE30E95C2F5E96E6B2406E71BB7CD1E8EBE188FE8C7B2604B186781D4C4E9BF23137085E257E83E"
        "C5D2E0E71FBC7EEA1F3D91A41E75BC2D72B9D9EF94A2CAE1BC720526A3B148B326B9FA100D113C50F61CB5471AB8B164FBDEF3C06E9522DF"
        "8065BA10A999117EF7C5A7B9C61BEF5BABB04B8183FCC36C5A37A98FB737B4E968B0B98EB6D1FE856344F1106708DCB3DFDEA3844F052138"
        "5DB44B3077109DAFA91520E7106D265C9CAE8EC440E5E8FD",
    ),
    Key(  # 1024 bits, exponent 3
        "D2F55B0B76B58770582A5838E3D057FDA7145F9E0091D4C8683F1189AC7EBB3235C78D185A17DD523464A08AB75DF6A30A451827C14A8B1D"
        "CE6B4170FE8C065B5566FBA27DAD230CAA724557EC5D4A65A9A7DC8978232148D72F3ACD13D655B484AC72A1A6E70B080CA84D1C95C27C8B"
        "0148ADC66C61CCB0A4026862B2650325",
        3,
        "8CA39207A47904F5901C3AD097E03AA91A0D9514006138859AD4B65BC8547CCC23DA5E103C0FE8E1784315B1CF93F9C206D8BAC52B870769"
        "344780F5FF08043BADBE38C938B01B50533DF9DBC0C7E4653DDABE8B99A729364D5FDB1C113C82C9F0D79124C8AA4D576F4B8E68A1ABD3A3"
        "5B9A9CAD5E75859EE240EFAF8B0FEF33",
    ),
    Key(  # 768 bits, exponent 3
        "B664115A23F74258D65B030C4197B8F80843E0A412C3C89A845F9744CED290771BE0083E8AD2ECA9540249A250C01A92F943BF94D6854A71"
        "6E2008D528519ACC1B11368965DB782EBDA6D949B32FBD162745FA4D28096DE27D91C67908A6E721",
        3,
        "79980B916D4F81908EE7575D810FD0A55AD7EB180C8285BC583FBA2DDF370AFA12955AD45C8C9DC63801866C35D5670B846215E569900B47"
        "07F37E27C44033B52F2F32C316BEF61AC7AB1F1491F445648AB2C68056C1E238C491626D53ECBA63",
    ),
)


def signed(signer, form, fields, body, more, header=0x6A, trailer=0xBC, digest=None):
    """A block as EMV signs it. form: its format; fields, body: what it says; more: what only its hash covers."""
    inner = bytes((form,)) + fields + body
    inner += b"\xbb" * (signer.size - 22 - len(inner))
    digest = digest or hashlib.sha1(inner + more).digest()
    return signer.sign(bytes((header,)) + inner + digest + bytes((trailer,)))


def certificate(
    signer,
    key,
    form,
    name,
    more,
    expiry="1230",
    serial="000001",
    algorithms="0101",
    exponent=None,
    sizes=None,
    extra=b"",
    **frame,
):
    """(certificate, remainder, exponent) of a key; name: issuer identifier or card number in hex; more: static data.

    sizes: what the certificate says of the lengths of key and exponent; extra: more than the remainder that is missing.
    """
    exponent = key.exponent_bytes() if exponent is None else exponent
    fields = hexes(name + expiry + serial + algorithms) + bytes(sizes or (key.size, len(exponent)))
    room = signer.size - 22 - 1 - len(fields)
    body, remainder = key.modulus[:room], key.modulus[room:] + extra
    return signed(signer, form, fields, body, remainder + exponent + more, **frame), remainder, exponent


def issuer_objects(authority=LARGE, issuer=MIDDLE, form=2, name="6200FFFF", **bent):
    """8F, 90, 92, 9F32."""
    values = certificate(authority, issuer, form, name, b"", **bent)
    return with_values({0x8F: hexes(INDEX)}, (0x90, 0x92, 0x9F32), values)


def card_objects(issuer=MIDDLE, card=SMALL, static=b"", form=4, number=NUMBER, tags=(0x9F46, 0x9F48, 0x9F47), **bent):
    """9F46, 9F48, 9F47, or those of the PIN key."""
    name = number + "F" * (20 - len(number))
    return with_values({}, tags, certificate(issuer, card, form, name, static, **bent))


def with_values(objects, tags, values):
    for tag, value in zip(tags, values):
        if value:
            objects[tag] = value
    return objects


def static_signature(issuer, static, form=3, code="D1CE", algorithm="01", **frame):
    """93."""
    return signed(issuer, form, hexes(algorithm + code), b"", static, **frame)


def dynamic_signature(card, sent, number="1122334455667788", rest=b"", form=5, algorithm="01", length=None, **frame):
    """9F4B. number: the dynamic number in hex; rest: what CDA adds."""
    dynamic = bytes((len(number) // 2,)) + hexes(number) + rest
    fields = hexes(algorithm) + bytes((len(dynamic) if length is None else length,))
    return signed(card, form, fields, dynamic, sent, **frame)


def authority_row(key=LARGE, kind="test"):
    """The authority's key as a row of `firmware.emv.authority`."""
    exponent = key.exponent_bytes()
    digest = hashlib.sha1(hexes(PROVIDER + INDEX) + key.modulus + exponent).digest()
    texts = [hexlify(value).decode().upper() for value in (key.modulus, exponent, digest)]
    row = {"rid": PROVIDER, "index": INDEX, "modulus": texts[0], "exponent": texts[1], "hash": texts[2]}
    row["kind"] = kind
    return row


def data_of(objects, static=b"", date=DATE, authority=LARGE, revoked=(), capabilities="E0F8C8", ddol="9F3704"):
    """The data of a transaction in which the card has said `objects`."""
    terminal = dict(TERMINAL_DATA)
    terminal["9F33"] = capabilities
    row = dict(UNIONPAY_ROWS[0])
    row["ddol"] = ddol
    settings = Settings([row], terminal, [authority_row(authority)], revoked)
    data = Data(settings, Request(1234, date, "101500", hexes("CAFE0123"), 17))
    data.choose(settings.applications[0])
    data.said.update({0x82: hexes(PROFILE), 0x84: hexes(PROVIDER + "010101"), 0x5A: hexes(NUMBER)})
    data.said.update(objects)
    data.static = static
    return data


def drive(step, answer):
    """Runs a generator to its end: (its result, the commands it gave). `answer` is a response or a function of the command."""
    commands = []
    try:
        command = next(step)
        while True:
            commands.append(command)
            command = step.send(answer(command) if callable(answer) else answer)
    except StopIteration as end:
        return end.value, commands
