"""What a machine must not leave out: KAIFU_REQUIRE=chromium,micropython,fonts makes such a skip a failure."""

import os

import pytest

# word in KAIFU_REQUIRE: what the reason of a skip says then
REQUIRABLE = {"chromium": "chromium", "micropython": "micropython", "fonts": "font", "strace": "strace"}


def pytest_configure(config):
    words = [word for word in os.environ.get("KAIFU_REQUIRE", "").replace(",", " ").split()]
    unknown = [word for word in words if word not in REQUIRABLE]
    if unknown:
        raise pytest.UsageError("KAIFU_REQUIRE knows %s, not %s" % (" ".join(REQUIRABLE), " ".join(unknown)))
    config.stash[REQUIRED] = [REQUIRABLE[word] for word in words]


REQUIRED = pytest.StashKey[list[str]]()


def _refuse(report, config):
    """Turns a skip for want of something required into a failure that says so."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    for word in config.stash[REQUIRED]:
        if word in reason.lower():
            report.outcome = "failed"
            report.longrepr = "left out, though KAIFU_REQUIRE asks for it: %s" % reason


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    _refuse(outcome.get_result(), item.config)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    outcome = yield
    _refuse(outcome.get_result(), collector.config)
