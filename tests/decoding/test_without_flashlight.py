"""Keywords where flashlight-text cannot be had, as with Python 3.13: nothing of it is imported for them."""

import subprocess
import sys

from tests.conftest import ROOT

PROGRAM = """
import sys
sys.modules["flashlight"] = None
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/decoding/test_keywords.py", "-k", "not lm"]))
"""


def test_keywords_need_none_of_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout
