"""The rules of the house that no linter knows: who may import whom, and what must not exist."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = sorted(
    [ROOT / "service.py", *(ROOT / "config").glob("*.py"), *(ROOT / "medasr_service").rglob("*.py")]
)

# A module imports only from layers below its own; inside a package, also from its neighbours.
LAYERS: dict[str, int] = {
    name: level
    for level, names in enumerate(
        [
            ["address", "digests", "errors", "transcript", "geometry", "mp4", "ogg", "shutdown", "version"],
            ["hub", "manifest", "agreement", "cues", "boundaries", "pages", "output", "confidence"],
            ["settings", "verification", "audio", "chunking", "ctc", "dictation", "formats", "annotated"],
            ["segments", "checkpoint", "keywords", "pauses"],
            ["beam"],
            ["engines", "transcriber", "language_model"],
            ["live", "admission"],
            ["api", "evaluation"],
            ["cli", "service"],
        ]
    )
    for name in names
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


def _layer_name(file: Path) -> str:
    """service.py and medasr_service/decoding/ctc.py by their stem; medasr_service/api/app.py as "api"."""
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


LAYERED = [f for f in PRODUCT if f.parent.name != "config" and f != ROOT / "medasr_service" / "__init__.py"]


@pytest.mark.parametrize("file", LAYERED, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_imports_go_down_only(file: Path) -> None:
    own = _layer_name(file)
    assert own in LAYERS, f"{own} is new: give it a place in LAYERS"
    for name in _imports(file):
        parts = name.split(".")
        if parts[0] == "service":
            pytest.fail(f"{own} imports service.py")
        if parts[0] == "medasr_service" and len(parts) > 1:
            imported = parts[1]
            neighbours = imported == own and (ROOT / "medasr_service" / own).is_dir()
            assert neighbours or LAYERS[imported] < LAYERS[own], f"{own} imports {imported}"


def test_only_the_service_file_knows_bentoml() -> None:
    assert _users_of("bentoml", "_bentoml_sdk") == {"service.py"}


EXPORTER = {f"medasr_service/engines/{name}.py" for name in ("export", "network", "int8")}


def test_only_the_torch_engine_and_the_exporter_know_torch() -> None:
    users = _users_of("torch", "transformers", "onnx")
    assert users == {"medasr_service/engines/torch_ctc.py"} | EXPORTER


def test_the_exporter_is_a_program_of_its_own() -> None:
    """It brings torch along: nobody else may import it, or a part of it."""
    modules = tuple(name.removesuffix(".py").replace("/", ".") for name in EXPORTER)
    others = [f for f in PRODUCT if f.relative_to(ROOT).as_posix() not in EXPORTER]
    assert not [f.name for f in others for name in _imports(f) if name.startswith(modules)]


def test_the_web_framework_stays_in_the_api_and_the_service() -> None:
    users = _users_of("fastapi", "starlette")
    assert users
    assert all(user == "service.py" or user.startswith("medasr_service/api/") for user in users)


@pytest.mark.parametrize("package", ["librosa", "numba", "scipy", "training", "tests"])
def test_the_product_never_imports(package: str) -> None:
    assert _users_of(package) == set()


def test_only_the_scoring_knows_jiwer() -> None:
    """It is in an extra: the service runs without."""
    assert _users_of("jiwer") == {"medasr_service/evaluation/scoring.py"}


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
    """The folder in which an ONNX artefact is made is the only temporary thing with a name."""
    used = {
        (file.name, name)
        for file in PRODUCT
        for node in ast.walk(ast.parse(file.read_text()))
        for name in [getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)]
        if name in NAMED
    }
    assert used <= {("artefact.py", "TemporaryDirectory")}


def test_settings_are_read_only_at_the_edges() -> None:
    """Everything else gets its Settings as an argument."""
    builders = set()
    for file in PRODUCT:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"Settings", "settings.load", "load"}:
                builders.add(file.relative_to(ROOT).as_posix())
    assert builders == {"service.py", "medasr_service/cli/__init__.py", "medasr_service/settings.py"}
