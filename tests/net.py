"""What tests of the network need: a Linux that is a folder, a modem made of the system's sockets, certificates."""

import subprocess

from drivers.bearers import System
from drivers.loop import Loop
from drivers.tcp import Sockets

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


class Folder:
    """/sys and /proc below `root`, as `drivers.bearers.System` reads them."""

    def __init__(self, root):
        self.root = root
        self.addresses = {}
        self.routes = {}
        (root / "proc/net").mkdir(parents=True)
        self.signal(None)

    def system(self, interfaces=None):
        return System(interfaces, str(self.root), lambda name: self.addresses.get(name, ""))

    def set(self, name, state="up", address="", metric=None, **files):
        """An interface; metric: of its default route. files: more of its files below /sys."""
        folder = self.root / "sys/class/net" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in {"operstate": state, **files}.items():
            (folder / file).write_text(text + "\n")
        self.addresses[name] = address
        self.routes[name] = metric
        out = [row for row in self.routes.items() if row[1] is not None]
        self.proc("route", HEAD + "".join("%s\t00000000\t010200C0\t0003\t0\t0\t%d\t00000000\t0\t0\t0\n" % row for row in out))

    def signal(self, dbm, name="wlan0"):
        row = "" if dbm is None else " %s: 0000   54.  %d.  -256        0      0      0      0      0        0\n" % (name, dbm)
        self.proc("wireless", "Inter-| sta-|   Quality\n face | tus | link level noise\n" + row)

    def proc(self, name, text):
        whole = self.root / "proc" / name
        whole.write_text(text)
        whole.rename(self.root / "proc/net" / name)  # as the kernel's: never half a file


class ToyModem:
    """A modem as the link sees it. Its sockets are the system's, in a thread of its own; it knows the names of `hosts`."""

    def __init__(self, send_ms=10_000):
        self.state = "ready"
        self.registered = "home"
        self.address = "10.64.0.20"
        self.hosts = {}
        self.opened = 0
        self._loop = Loop("link-modem")
        self._sockets = Sockets(self._loop, send_ms)

    def status(self):
        return {"registered": self.registered, "bars": 3, "address": self.address}

    def open_socket(self, address, port, timeout_ms, on_event):
        self.opened += 1
        handle = []
        place = (self.hosts.get(address, address), port, timeout_ms, on_event)
        self._loop.call(lambda: handle.append(self._sockets.open_socket(*place)))
        return handle

    def send_socket(self, handle, data):
        self._loop.call(lambda: handle[0].send(data))

    def close_socket(self, handle):
        self._loop.call(lambda: handle[0].close())

    def close(self):
        self._loop.close()


def openssl(*words, folder):
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

# What a host may show: (signed by, days, the names it is for).
SHOWN = {
    "good": ("ours", "2", "DNS:localhost,DNS:host.example,IP:127.0.0.1"),
    "another name": ("ours", "2", "DNS:elsewhere.example,IP:127.0.0.77"),
    "expired": ("ours", "-1", "DNS:localhost,DNS:host.example,IP:127.0.0.1"),
    "another authority": ("theirs", "2", "DNS:localhost,DNS:host.example,IP:127.0.0.1"),
}


def certificates(folder):
    """Makes them: FOLDER/NAME.pem and NAME.key for the authorities "ours" and "theirs", for "self-made" and for SHOWN."""
    for name in ("ours", "theirs", "self-made"):
        names = () if name != "self-made" else ("-addext", "subjectAltName=DNS:localhost,DNS:host.example,IP:127.0.0.1")
        openssl("req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=" + name, *names,
                "-keyout", name + ".key", "-out", name + ".pem", folder=folder)  # fmt: skip
    for name, (signer, days, names) in SHOWN.items():
        openssl("req", *NEW_KEY, "-subj", "/CN=kaifu test", "-addext", "subjectAltName=" + names,
                "-keyout", name + ".key", "-out", name + ".csr", folder=folder)  # fmt: skip
        openssl("x509", "-req", "-in", name + ".csr", "-CA", signer + ".pem", "-CAkey", signer + ".key", "-CAcreateserial",
                "-days", days, "-copy_extensions", "copy", "-out", name + ".pem", folder=folder)  # fmt: skip
    return folder
