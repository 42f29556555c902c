"""The rules of the house that no linter knows: who may import whom, and what must not exist."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = sorted(
    [ROOT / "service.py", *(ROOT / "config").glob("*.py"), *(ROOT / "medasr_service").rglob("*.py")]
)

# What each wing may import, besides itself; a file that lies loose is a wing of its own. Nothing imports in a
# circle: a wing names only wings above it in this table.
MAY_IMPORT: dict[str, set[str]] = {
    "version": set(),
    "interrupts": set(),
    "telemetry": set(),
    "errors": set(),
    "config": set(),
    "stores": set(),
    "settings": {"config", "errors"},
    "model": {"settings", "errors"},
    "audio": {"model", "errors"},
    "windows": {"model"},
    "text": {"model"},
    "decoding": {"text", "model", "settings", "errors"},
    "engines": {"model", "settings", "errors"},
    "segmenter": {"decoding", "text", "model"},
    "transcriber": {
        *("segmenter", "decoding", "windows", "audio", "text", "model", "settings", "errors", "telemetry"),
    },
    "accounts": {"errors", "telemetry", "version"},
    "live": {"transcriber", "decoding", "audio", "text", "model", "settings", "errors"},
    "conditions": {"decoding", "model", "settings", "version"},
    "evaluation": {"audio", "transcriber", "text", "model", "errors"},
    "jobs": {"stores", "telemetry", "transcriber", "audio", "text", "model", "settings", "errors"},
    "archive": {
        *("conditions", "transcriber", "engines", "decoding", "audio", "text", "model", "settings", "errors"),
        "stores",
    },
    "api": {
        *("accounts", "jobs", "live", "transcriber", "decoding", "audio", "text", "model", "settings"),
        *("errors", "version", "telemetry"),
    },
    "serving": {
        *("api", "accounts", "jobs", "transcriber", "engines", "audio", "text", "model", "settings"),
        *("errors", "version", "telemetry"),
    },
    "cli": {
        *(
            "serving",
            "accounts",
            "archive",
            "conditions",
            "evaluation",
            "live",
            "transcriber",
            "engines",
            "decoding",
            "audio",
            "text",
            "model",
        ),
        *("settings", "errors", "interrupts", "version"),
    },
    "__main__": {"cli", "interrupts"},
    "service": {"serving"},
}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "manager", "managers", "factory", "registry", "misc"}


def _imports(file: Path) -> Iterator[str]:
    """Full names of everything that the file imports, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _wing(file: Path) -> str:
    """service.py and medasr_service/settings.py by their stem; medasr_service/api/app.py as "api"."""
    if file.parent == ROOT:
        return file.stem
    return file.relative_to(ROOT / "medasr_service").parts[0].removesuffix(".py")


def _users_of(*packages: str) -> set[str]:
    return {
        file.relative_to(ROOT).as_posix()
        for file in PRODUCT
        for name in _imports(file)
        if name.split(".")[0] in packages
    }


IN_WINGS = [f for f in PRODUCT if f.parent.name != "config" and f != ROOT / "medasr_service" / "__init__.py"]


@pytest.mark.parametrize("file", IN_WINGS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_wing_imports_only_what_the_table_allows(file: Path) -> None:
    own = _wing(file)
    assert own in MAY_IMPORT, f"{own} is new: give it a row in MAY_IMPORT"
    for name in _imports(file):
        parts = name.split(".")
        if parts[0] == "service":
            pytest.fail(f"{own} imports service.py")
        if parts[0] == "medasr_service" and len(parts) > 1:
            assert parts[1] in {own, *MAY_IMPORT[own]}, f"{own} imports {name}"


def test_the_table_has_no_circle() -> None:
    above: set[str] = set()
    for wing, allowed in MAY_IMPORT.items():
        assert allowed <= above, f"{wing} imports what stands below it"
        above.add(wing)


def test_the_table_names_nothing_that_is_not_imported() -> None:
    used = {(_wing(file), name.split(".")[1]) for file in IN_WINGS for name in _imports(file) if "." in name}
    unused = {(wing, each) for wing, allowed in MAY_IMPORT.items() for each in allowed} - used
    assert not unused


def test_only_serving_knows_bentoml() -> None:
    users = _users_of("bentoml", "_bentoml_sdk", "_bentoml_impl", "circus")
    assert users
    assert all(user.startswith("medasr_service/serving/") for user in users)


EXPORTER = {f"medasr_service/engines/{name}.py" for name in ("export", "network", "int8")}


def test_only_the_torch_engine_and_the_exporter_know_torch() -> None:
    users = _users_of("torch", "transformers", "onnx")
    assert users == {"medasr_service/engines/torch_ctc.py"} | EXPORTER


def test_the_exporter_is_a_program_of_its_own() -> None:
    """It brings torch along: nobody else may import it, or a part of it."""
    modules = tuple(name.removesuffix(".py").replace("/", ".") for name in EXPORTER)
    others = [f for f in PRODUCT if f.relative_to(ROOT).as_posix() not in EXPORTER]
    assert not [f.name for f in others for name in _imports(f) if name.startswith(modules)]


def test_the_web_framework_stays_in_the_api_and_in_serving() -> None:
    users = _users_of("fastapi", "starlette")
    assert users
    assert all(user.startswith(("medasr_service/api/", "medasr_service/serving/")) for user in users)


def test_only_the_engines_know_onnx_runtime() -> None:
    assert all(user.startswith("medasr_service/engines/") for user in _users_of("onnxruntime"))


def test_only_the_audio_wing_knows_decoders() -> None:
    assert all(user.startswith("medasr_service/audio/") for user in _users_of("av", "soundfile", "soxr"))


@pytest.mark.parametrize("package", ["librosa", "numba", "scipy", "training", "tests"])
def test_the_product_never_imports(package: str) -> None:
    assert _users_of(package) == set()


def test_only_the_archive_knows_ray_and_the_stores() -> None:
    """Ray and pyarrow are in extras: they are imported where somebody asks for them."""
    users = _users_of("ray", "pyarrow")
    assert users
    assert all(user.startswith("medasr_service/archive/") for user in users)
    stores = _users_of("fsspec")
    assert all(user.startswith(("medasr_service/archive/", "medasr_service/jobs/")) for user in stores)


def test_only_the_scoring_knows_jiwer() -> None:
    """It is in an extra: the service runs without."""
    assert _users_of("jiwer") == {"medasr_service/evaluation/scoring.py"}


def test_only_jobs_know_their_engine() -> None:
    """And only its own process: it costs 70 MB. What it needs besides is in the same extra."""
    assert _users_of("dbos", "psycopg", "sqlalchemy") == {"medasr_service/jobs/engine.py"}
    others = _users_of("cryptography", "standardwebhooks")
    assert all(user.startswith("medasr_service/jobs/") for user in others)


def test_no_module_without_a_noun() -> None:
    names = {part for file in PRODUCT for part in file.relative_to(ROOT).with_suffix("").parts}
    assert not names & FORBIDDEN_NAMES


def test_no_class_is_a_manager() -> None:
    classes = {
        node.name
        for file in PRODUCT
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    assert not {name for name in classes if name.endswith(("Manager", "Factory", "Registry", "Helper"))}


NAMED = {"NamedTemporaryFile", "mkstemp", "mkdtemp", "mktemp", "TemporaryDirectory", "gettempdir"}


def test_audio_never_has_a_name_on_disk() -> None:
    """What has one: the folders in which an artefact is made or packed, of control sockets, of counters.

    The disk of uploads is only asked what is free.
    """
    used = {
        (file.name, name)
        for file in PRODUCT
        for node in ast.walk(ast.parse(file.read_text()))
        for name in [getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)]
        if name in NAMED
    }
    made = {(file, "TemporaryDirectory") for file in ("artefact.py", "packed.py")}
    folders = {(file, "mkdtemp") for file in ("supervisor.py", "metrics_folder.py")}
    assert used <= made | folders | {("spool.py", "gettempdir")}


def test_settings_are_read_only_at_the_edges() -> None:
    """Everything else gets its Settings as an argument."""
    builders = set()
    for file in PRODUCT:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Settings", "settings.load", "load"}:
                builders.add(file.relative_to(ROOT).as_posix())
    edges = {"serving/services.py", "serving/as_one.py", "cli/__init__.py"}
    assert builders == {*(f"medasr_service/{each}" for each in edges), "medasr_service/settings.py"}
