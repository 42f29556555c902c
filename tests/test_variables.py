"""docs/variables.md says of every setting what config/inference.yaml says."""

import re

from medasr_service.settings import CONFIG_FILE, Settings

TABLE = CONFIG_FILE.parent.parent / "docs" / "variables.md"


def test_the_table_of_variables_is_that_of_the_settings() -> None:
    """A new setting wants its line in both: | `MEDASR_NAME` | `default` | the comment of its line |."""
    lines = re.findall(r"^  (\w+): +(.*?) +# (.*)$", CONFIG_FILE.read_text(), re.MULTILINE)
    assert {name for name, _, _ in lines} == set(Settings.model_fields)
    rows = re.findall(r"^\| `MEDASR_(\w+)` \| (.*?) \| (.+) \|$", TABLE.read_text(), re.MULTILINE)
    described = {name.lower(): (default.strip("`"), meaning) for name, default, meaning in rows}
    for name, default, comment in lines:
        assert described[name] == ("" if default == "null" else default, comment)
