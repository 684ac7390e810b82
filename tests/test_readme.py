"""The README is true."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.running import ROOT
from tests.test_scripts import Served, environment

README = (ROOT / "README.md").read_text()
READS = re.compile(r'env\.(?:text|flag|number|words|url|database|email)\(\s*"([A-Z0-9_]+)"')


def test_every_setting_is_documented() -> None:
    sources = [*ROOT.glob("i2v_site/*.py"), *ROOT.glob("generation/**/*.py"), *ROOT.glob("gpu/**/*.py")]
    names = {name for path in sources for name in READS.findall(path.read_text())}

    assert len(names) > 40
    assert {name for name in names if f"`{name}" not in README} == set()


@pytest.mark.timeout(200)
def test_the_curl_examples_work_as_printed(tmp_path: Path) -> None:
    block = README.split("<!-- tested")[1].split("```bash\n")[1].split("```")[0]
    served = Served(tmp_path)
    token = re.search(r"API token +(\S+)", served.until_ready())
    assert token
    shell = environment(tmp_path, TOKEN=token[1], SITE=f"http://127.0.0.1:{served.port}")

    answers = [
        json.loads(subprocess.run(line, shell=True, cwd=ROOT, env=shell, capture_output=True, check=True).stdout)
        for line in block.splitlines()
        if line
    ]
    served.stop()

    assert len(answers) == 8
    assert [answer for answer in answers if "error" in answer and "code" in (answer["error"] or ())] == []
