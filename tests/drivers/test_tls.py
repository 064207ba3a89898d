"""TLS without a socket: what one side says is carried to the other by hand."""

import random
import ssl
import warnings

import pytest

from drivers.tls import MOST_AUTHORITIES, Contexts, TlsError
from tests.net import certificates


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls"))


class Host:
    """The server's side in memory."""

    def __init__(self, folder, shows="good", context=None):
        self.context = context or server_context(folder, shows)
        self.bytes_in, self.bytes_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = self.context.wrap_bio(self.bytes_in, self.bytes_out, server_side=True)
        self.up = False

    def hear(self, data):
        """What the client says; returns the plain bytes of it."""
        self.bytes_in.write(data)
        try:
            if not self.up:
                self.object.do_handshake()
                self.up = True
            return self.object.read(65_536)
        except ssl.SSLError:
            return b""

    def say(self, plain=b""):
        if plain:
            self.object.write(plain)
        return self.bytes_out.read()


def server_context(folder, shows, newest=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / (shows + ".pem"), folder / (shows + ".key"))
    if newest:
        context.maximum_version = newest
    return context


def ours(folder, name="ours"):
    return (folder / (name + ".pem")).read_text()


def meet(tls, host):
    """Carries bytes to and fro until both stand. Raises TlsError."""
    while not (tls.ready and host.up):
        host.hear(tls.take())
        said = host.say()
        assert said or tls.ready, "nobody has anything to say"
        if said:
            assert tls.feed(said) == []
    host.hear(tls.take())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "host.example"])
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_host_with_the_right_certificate_is_spoken_to(folder, name, newest):
    tls = Contexts().open(ours(folder), name, 1)
    host = Host(folder, context=server_context(folder, "good", newest))
    meet(tls, host)
    tls.write(b"hello")
    assert host.hear(tls.take()) == b"hello"
    assert b"".join(tls.feed(host.say(b"good day"))) == b"good day"
    assert not tls.ended


@pytest.mark.parametrize(
    ("shows", "authority", "why"),
    [
        ("another name", "ours", "tls-name"),
        ("expired", "ours", "tls-expired"),
        ("another authority", "ours", "tls-unknown"),
        ("self-made", "ours", "tls-unknown"),
        ("good", "theirs", "tls-unknown"),
    ],
)
def test_a_certificate_is_refused_in_a_word_of_its_own_and_the_host_is_told(folder, shows, authority, why):
    for name in ("localhost", "127.0.0.1"):
        tls = Contexts().open(ours(folder, authority), name, 1)
        host = Host(folder, shows)
        with pytest.raises(TlsError) as caught:
            meet(tls, host)
        assert caught.value.why == why
        assert tls.take(), "an alert"


def test_without_an_authority_of_ours_the_systems_decide(folder):
    with pytest.raises(TlsError) as caught:
        meet(Contexts().open("", "localhost", 1), Host(folder))
    assert caught.value.why == "tls-unknown"


def test_the_hosts_own_certificate_may_be_the_pinned_authority(folder):
    meet(Contexts().open(ours(folder, "self-made"), "localhost", 1), Host(folder, "self-made"))
    meet(Contexts().open(ours(folder, "good"), "localhost", 1), Host(folder, "good"))
    with pytest.raises(TlsError) as caught:
        meet(Contexts().open(ours(folder, "good"), "localhost", 1), Host(folder, "another authority"))
    assert caught.value.why == "tls-unknown"


def test_a_host_that_knows_only_old_tls_is_refused(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = server_context(folder, "good", ssl.TLSVersion.TLSv1_1)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(TlsError) as caught:
        meet(Contexts().open(ours(folder), "localhost", 1), Host(folder, context=context))
    assert caught.value.why == "tls"


def test_a_handshake_that_somebody_turns_down_to_an_older_version_fails(folder):
    """Both could do 1.3; on the way the client's offer of it is struck out. RFC 8446, 4.1.3: the host's random tells."""
    tls = Contexts().open(ours(folder), "localhost", 1)
    hello = tls.take()
    offer = bytes.fromhex("002b0005040304 0303".replace(" ", ""))  # supported_versions: 1.3, 1.2
    assert hello.count(offer) == 1
    host = Host(folder)
    host.hear(hello.replace(offer, bytes.fromhex("002b0005040303 0303".replace(" ", ""))))
    with pytest.raises(TlsError) as caught:
        tls.feed(host.say())
    assert caught.value.why == "tls"


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\x52\x60\x00\x03\x00\x00", b"\x15\x03\x01\x00\x02\x02\x46"]
)
def test_a_host_that_speaks_something_else_is_no_tls(folder, said):
    tls = Contexts().open(ours(folder), "localhost", 1)
    with pytest.raises(TlsError) as caught:
        tls.feed(said)
    assert caught.value.why == "tls"


@pytest.mark.parametrize("seed", range(30))
def test_any_bytes_are_the_one_error_or_a_wait_for_more(folder, seed):
    chance = random.Random(seed)
    contexts = Contexts()
    tls = contexts.open(ours(folder), "localhost", 1)
    host = Host(folder)
    whole = seed % 3 == 0
    if whole:
        meet(tls, host)
    else:
        host.hear(tls.take())
    said = bytearray(host.say(bytes(300) if whole else b""))
    for _ in range(chance.randrange(1, 4)):
        said[chance.randrange(len(said))] ^= 1 << chance.randrange(8)
    said += chance.randbytes(chance.randrange(50))
    try:
        assert b"".join(tls.feed(bytes(said))) in (b"", bytes(300))
    except TlsError as error:
        assert error.why.startswith("tls")


def test_a_handshake_byte_by_byte_comes_to_its_end(folder):
    tls = Contexts().open(ours(folder), "localhost", 1)
    host = Host(folder)
    while not host.up:
        for byte in tls.take():
            host.hear(bytes((byte,)))
        for byte in host.say():
            assert tls.feed(bytes((byte,))) == []
    assert tls.ready


def test_a_reply_in_the_same_piece_as_the_end_of_the_handshake_is_not_lost(folder):
    tls = Contexts().open(ours(folder), "localhost", 1)
    host = Host(folder, context=server_context(folder, "good", ssl.TLSVersion.TLSv1_2))
    host.hear(tls.take())
    tls.feed(host.say())
    host.hear(tls.take())
    assert host.up and not tls.ready
    last = host.say(b"a greeting")
    assert tls.feed(last) == [b"a greeting"]
    assert tls.ready


def test_the_goodbye_of_the_other_side_is_heard_behind_its_last_words(folder):
    tls = Contexts().open(ours(folder), "localhost", 1)
    host = Host(folder)
    meet(tls, host)
    said = host.say(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        host.object.unwrap()
    assert tls.feed(said + host.say()) == [b"last words"]
    assert tls.ended


def test_our_goodbye_is_said(folder):
    tls = Contexts().open(ours(folder), "localhost", 1)
    host = Host(folder)
    meet(tls, host)
    tls.close()
    host.bytes_in.write(tls.take())
    assert host.object.read(10) == b""  # and no error: it ended in good order


def test_a_record_that_was_changed_on_the_way_is_the_one_error(folder):
    tls = Contexts().open(ours(folder), "localhost", 1)
    host = Host(folder)
    meet(tls, host)
    said = bytearray(host.say(b"pay 100"))
    said[-1] ^= 1
    with pytest.raises(TlsError):
        tls.feed(bytes(said))


def test_what_came_whole_before_a_bad_record_is_not_lost(folder):
    tls = Contexts().open(ours(folder), "localhost", 1)
    host = Host(folder)
    meet(tls, host)
    with pytest.raises(TlsError) as caught:
        tls.feed(host.say(b"approved") + b"\x17\x03\x03\x00\x20" + bytes(32))
    assert caught.value.plain == [b"approved"]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_next_connection_to_a_host_goes_on_with_its_session(folder, newest):
    contexts, context = Contexts(), server_context(folder, "good", newest)
    resumed = []
    for port in (1, 1, 2):
        tls, host = contexts.open(ours(folder), "localhost", port), Host(folder, context=context)
        meet(tls, host)
        tls.feed(host.say(b"hello"))
        resumed.append(host.object.session_reused)
        contexts.keep(ours(folder), "localhost", port, tls)
    assert resumed == [False, True, False]


def test_a_session_that_the_host_has_forgotten_begins_anew_with_its_certificate_checked(folder):
    contexts = Contexts()
    tls, host = contexts.open(ours(folder), "localhost", 1), Host(folder)
    meet(tls, host)
    tls.feed(host.say(b"hello"))
    contexts.keep(ours(folder), "localhost", 1, tls)
    with pytest.raises(TlsError) as caught:
        meet(contexts.open(ours(folder), "localhost", 1), Host(folder, "another name"))
    assert caught.value.why == "tls-name"


@pytest.mark.parametrize("authority", ["no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "证书", "\0"])
def test_an_authority_that_is_no_certificate_is_the_one_error(authority):
    with pytest.raises(TlsError) as caught:
        Contexts().open(authority, "localhost", 1)
    assert caught.value.why == "tls"


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 300, "\0"])
def test_a_name_that_no_certificate_can_have_is_the_one_error(folder, name):
    with pytest.raises(TlsError):
        Contexts().open(ours(folder), name, 1)


def test_many_authorities_after_each_other_do_not_stand_in_each_others_way(folder):
    contexts = Contexts()
    for number in range(20):
        contexts.open(ours(folder) + "\n" * number, "localhost", 1)
    meet(contexts.open(ours(folder), "localhost", 1), Host(folder))


def test_a_session_of_an_authority_that_is_not_kept_any_more_is_not_kept_either(folder):
    contexts = Contexts()
    tls, host = contexts.open(ours(folder), "localhost", 1), Host(folder)
    meet(tls, host)
    tls.feed(host.say(b"hello"))
    for number in range(1, MOST_AUTHORITIES + 1):
        contexts.open(ours(folder) + "\n" * number, "localhost", 1)
    contexts.keep(ours(folder), "localhost", 1, tls)
    meet(contexts.open(ours(folder), "localhost", 1), Host(folder))
