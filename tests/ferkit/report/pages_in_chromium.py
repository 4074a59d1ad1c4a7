"""A page of ours as Chromium lays it out."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

WIDTH = "document.documentElement.scrollWidth"
"""What `ask_browser` is asked for how wide a page is."""


def ask_browser(html: str, width: int, folder: Path, question: str) -> str:
    """What an expression comes to on a page in a window of a width."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    (folder / "report.html").write_text(html)
    (folder / "frame.html").write_text(
        f'<iframe src="report.html" style="width:{width}px;height:900px;border:0"></iframe><script>'
        f"const frame = document.querySelector('iframe'); frame.onload = () => "
        f"{{ document.title = frame.contentWindow.eval({json.dumps(question)}) }}</script>"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--window-size=1400,1000"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [browser, *flags, "--virtual-time-budget=5000", "--dump-dom", f"file://{folder}/frame.html"]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    answered = re.search(r"<title>([^<]+)</title>", dom)
    assert answered, dom[:500]
    return answered[1]
