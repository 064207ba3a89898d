"""GB18030 through the codec that Python brings, as the text port."""


class Gb18030:
    """`ports.Text`: GB18030-2000, a superset of GBK and GB 2312."""

    def __init__(self, post, part):
        pass

    def encode(self, text: str) -> bytes:
        return text.encode("gb18030", "replace")

    def decode(self, data: bytes) -> str:
        # The codec marks bad bytes with U+FFFD, which no message and no font has.
        return bytes(data).decode("gb18030", "replace").replace("\ufffd", "?")

    def start(self) -> None:
        """Nothing to start."""

    def close(self) -> None:
        """Nothing to end."""
