"""The text port needs no world: the stand-in is the same codec, called as the contract says."""

import codecs

_GB18030 = codecs.lookup("gb18030")


class StandIn:
    """`ports.Text`."""

    def __init__(self, world=None):
        pass

    def encode(self, text: str) -> bytes:
        return _GB18030.encode(text, "replace")[0]

    def decode(self, data: bytes) -> str:
        return _GB18030.decode(bytes(data), "replace")[0].replace("\ufffd", "?")
