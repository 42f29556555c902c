"""Where the language model of a checkpoint is, and whether it is the checkpoint's.

KenLM maps a binary file into memory and does not read it: the processes of a machine share one copy.
"""

import filecmp
import logging
import shutil
from pathlib import Path

from medasr_service.decoding.beam import BeamDecoder, Weights
from medasr_service.decoding.ctc import WORD_START, Vocabulary
from medasr_service.decoding.keywords import configured
from medasr_service.errors import InvalidRequest, ModelUnavailable
from medasr_service.model.checkpoint import Checkpoint
from medasr_service.settings import Settings

try:
    from flashlight.lib.text.decoder import LM
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary
except ImportError:  # no wheel for this version of Python
    KenLM = None

FILE = "lm_6.kenlm"
HEADERS = (b"mmap lm http://kheafield.com/code", b"\\data\\")  # binary, ARPA
LM_WORD_START = "#"  # in the language model: "▁the" is "#the"
UNKNOWN = "\ufffd"  # no piece has it
LEAST_KNOWN = 0.8  # of the pieces; a language model that knows fewer is another checkpoint's

NEEDS = "needs flashlight-text, which is not installed; it has wheels for Python 3.11 and 3.12"

log = logging.getLogger("bentoml.medasr")


def load(checkpoint: Checkpoint, vocabulary: Vocabulary, settings: Settings) -> BeamDecoder:
    """The search with the language model and the keywords that the settings name; keywords need no other.

    Where flashlight-text is not installed, without the language model, which is said. Raises ModelUnavailable
    where that is wanted and missing, damaged or another checkpoint's, or a keyword is wrong.
    """
    terms, file = configured(settings), locate(checkpoint, settings)
    if file and KenLM is None:
        if settings.decoding == "lm" or settings.lm != "auto":
            raise ModelUnavailable(f"the language model {NEEDS}")
        log.warning("decoding is greedy: the language model %s", NEEDS)
        file = None
    lm = file and read(file, vocabulary)
    decoder = BeamDecoder(vocabulary, lm, Weights.of(settings, demo=checkpoint.demo), terms)
    try:
        for warned in decoder.search().warnings(terms):
            log.warning("setting keywords: %s", warned.message)
    except InvalidRequest as error:
        raise ModelUnavailable(f"setting {error.message}") from None
    return decoder


def locate(checkpoint: Checkpoint, settings: Settings) -> Path | None:
    """The file of the language model; from the hub, the same revision's, only where it is asked for."""
    if settings.lm == "off":
        return None
    if settings.lm not in ("auto", "on"):
        file = Path(settings.lm)
        if not file.is_file():
            raise ModelUnavailable(f"the language model {file} is not there")
        return file
    if (own := checkpoint.folder / FILE).is_file():
        return own
    if settings.lm == "auto" and settings.decoding != "lm":
        return None
    if checkpoint.revision in ("bundled", "local"):
        raise ModelUnavailable(
            f"the model folder {checkpoint.folder} has no language model ({FILE}):"
            " set lm to a KenLM file over the pieces of its tokenizer, or to off"
        )
    from medasr_service.model import hub

    return hub.download_file(checkpoint.id, checkpoint.revision, FILE)


def keep(checkpoint: Checkpoint, settings: Settings, folder: Path) -> None:
    """Copies the language model that the settings name into an artefact, which then decodes with it alone.

    Raises ModelUnavailable where it cannot be had or kept.
    """
    file, kept = locate(checkpoint, settings), folder / FILE
    try:
        if file is None or (kept.exists() and filecmp.cmp(file, kept, shallow=False)):
            return
        part = kept.with_suffix(".part")
        shutil.copyfile(file, part)
        part.replace(kept)  # a service that has the old one mapped goes on with that
    except OSError as error:
        raise ModelUnavailable(f"the language model cannot be kept in {folder}: {error.strerror}") from None


def read(file: Path, vocabulary: Vocabulary) -> "KenLM":
    """Raises ModelUnavailable where the file is no language model, or not one over these pieces."""
    names = Dictionary()
    for i, piece in enumerate(
        vocabulary.pieces
    ):  # what is silent never gets a score; the name must be its own
        names.add_entry(
            f"{UNKNOWN}{i}" if i in vocabulary.silent else piece.replace(WORD_START, LM_WORD_START)
        )
    unknown = names.index_size()
    names.add_entry(UNKNOWN)
    damaged = ModelUnavailable(f"the language model {file} is damaged, or is no KenLM file")
    try:
        with file.open("rb") as content:
            if not content.read(len(HEADERS[0])).startswith(HEADERS):
                raise damaged  # KenLM would read all of it as ARPA, and draw a bar of its progress
        lm = KenLM(str(file), names)
    except (OSError, RuntimeError) as error:
        log.debug("KenLM: %s", error)
        raise damaged from None
    _check(file, lm, vocabulary, unknown)
    return lm


def _check(file: Path, lm: "LM", vocabulary: Vocabulary, unknown: int) -> None:
    state = lm.start(True)
    floor = lm.score(state, unknown)[1]
    pieces = [i for i in range(len(vocabulary.pieces)) if i not in vocabulary.silent]
    known = sum(lm.score(state, i)[1] != floor for i in pieces)
    if known < LEAST_KNOWN * len(pieces):
        raise ModelUnavailable(
            f"the language model {file} knows {known} of the {len(pieces)} pieces of this checkpoint:"
            " it was made for another tokenizer"
        )
