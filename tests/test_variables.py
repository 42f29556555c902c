"""docs/variables.md names every setting."""

import re

from medasr_service.settings import CONFIG_FILE, Settings

TABLE = CONFIG_FILE.parent.parent / "docs" / "variables.md"


def test_every_setting_is_in_the_table_of_variables() -> None:
    """A new setting wants its line there: | `MEDASR_NAME` | `default` | the comment of its line |."""
    rows = set(re.findall(r"^\| `MEDASR_(\w+)` \|.*\|.+\|$", TABLE.read_text(), re.MULTILINE))
    assert {name.upper() for name in Settings.model_fields} <= rows
