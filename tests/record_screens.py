"""Sample screens as text pictures: `python -m tests.record_screens` writes them anew to tests/fixtures/screens.

Only by that command: the tests compare and never write.
"""

from pathlib import Path

from drivers.picture import drawn
from drivers.render import Renderer
from firmware.screens import Screen

FOLDER = Path(__file__).parent / "fixtures" / "screens"

SAMPLES = {
    "self_test": Screen("开机自检", ["显示 键盘 读卡 正常", "打印机 正常", "版本 0.2 2026-11-20", "终端 12345678"]),
    "login": Screen("操作员登录", ["操作员 01", "请输入密码"], "****", ("取消", "确认")),
    "menu": Screen(
        "主菜单",
        menu=[("1", "消费"), ("2", "撤销"), ("3", "查询"), ("4", "重打印"), ("5", "余额"), ("6", "签退")],
    ),
    "amount": Screen("消费", ["请输入金额"], "1,234.56", ("取消", "确认")),
    "amount_over_limit": Screen("消费", ["请输入金额", "超过限额 50,000.00"], "9,999,999.99", ("取消", "确认")),
    "tap": Screen("消费", ["请挥卡"], "12.34", ("取消", "")),
    "approved": Screen("交易成功", ["金额 12.34", "授权码 123456", "正在打印商户联"], progress=40),
    "declined": Screen("交易拒绝 55", ["密码错误", "未扣款", "请重新刷卡", "代码 A55-0012"], keys=("", "重试"), style="alert"),
    "paper_out": Screen("打印机缺纸", ["交易已成功", "已扣款 勿重做", "装纸后按确认"], keys=("取消", "确认"), style="alert"),
    "english": Screen("Sale", ["Tap the card", "or press Cancel"], "12.34", ("Cancel", "")),
}


def drawing(name: str) -> str:
    """A sample as its fixture holds it."""
    renderer = Renderer((128, 64))
    return "\n".join(drawn(renderer.columns(SAMPLES[name]), 64)) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for old in FOLDER.glob("*.txt"):
        if old.stem not in SAMPLES:
            old.unlink()
    for name in SAMPLES:
        (FOLDER / (name + ".txt")).write_text(drawing(name), encoding="ascii")
    print("%d screens recorded" % len(SAMPLES))


if __name__ == "__main__":
    main()
