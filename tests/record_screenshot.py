"""docs/screenshot.png: the page of the running device just after a sale, the next card in its slot.

`make screenshot` writes it anew: a new device in a folder that is thrown away, a real Chromium without a
window; the numbers on it belong to nobody.
"""

import sys
import tempfile
from pathlib import Path

from emulator import script
from emulator.browser.server import Server
from emulator.device import Device
from tests import webdriver

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "screenshot.png"
SIZE = (1280, 900)

STEPS = """
include {scripts}/login.txt
keys 1 1234 ENTER
wait screen 请挥卡
tap debit
wait screen 打印下一联
remove card
keys ENTER
wait paper 持卡人存根
wait screen 1 消费
keys 1 8850 ENTER
wait screen 插卡
insert credit
wait screen 请输密码
"""


def main() -> int:
    if not webdriver.available():
        print("chromium and chromium-driver are not installed: no picture", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="kaifu-") as folder, Device(Path(folder) / "device", fast=True) as device:
        server = Server(device)
        server.start()
        try:
            with webdriver.Browser(SIZE) as browser:
                browser.open(server.address)
                steps = Path(folder) / "steps.txt"
                steps.write_text(STEPS.format(scripts=ROOT / "emulator" / "scripts"), encoding="utf-8")
                script.run(device, steps)
                browser.click("#kinds > :first-child")  # the messages are more interesting than the bytes
                # The paper has come to rest.
                browser.until(
                    "return document.getAnimations().every(one => one.playState !== 'running' || "
                    "one.effect.getTiming().iterations === Infinity)"
                )
                PICTURE.parent.mkdir(exist_ok=True)
                PICTURE.write_bytes(browser.screenshot())
        finally:
            server.close()
    print(PICTURE.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
