"""The model card: what is told of a run, put into card.md."""

from dataclasses import dataclass
from pathlib import Path

from training.evaluation import Figures
from training.export import Picked
from training.voices import MORE_VOICES, UNSEEN_ENGINE, UNSEEN_VARIANT, VOICES, WIDE_VOICES, Voice


@dataclass(frozen=True)
class Facts:
    """What the model card tells of a run."""

    figures: Figures
    parameters: int
    plain: tuple[float, int]  # hours and utterances of the first stages
    wide: tuple[float, int]  # and of the last
    steps: int
    training_s: float
    missing: list[Voice]
    sample: Picked
    clips: list[Picked]
    warm: bool  # begun at the last stage, with an earlier checkpoint
    kept: tuple[int, ...] = ()  # of its recordings: 0 the sample, then the clips


def card(facts: Facts) -> str:
    """The model card."""
    rows = "\n".join(
        f"| {row.name} | {row.utterances} | {row.words:,} | {100 * row.wer:.2f} % "
        f"| {'' if row.target is None else f'<= {100 * row.target:.0f} %'} |"
        for row in facts.figures.rows
    )
    sent = "\n".join(
        f"| {row.name} | {100 * row.wer:.2f} % | {100 * row.changed:.2f} % |" for row in facts.figures.sent
    )
    marked = "\n".join(
        f"| {kind} | {found.said} | {found.right} | {found.made_up} |"
        for kind, found in facts.figures.markers.items()
    )
    sample = facts.sample.recording
    words = len(sample.text.split())
    missed = [row.name for row in facts.figures.rows if row.missed]
    missed += [sent.name for sent in facts.figures.sent if sent.missed]
    verdict = f"Missed: {'; '.join(missed)}." if missed else "Every target is met."
    voices = "\n".join(
        f"| {voice.name} | {voice.package} | {voice.licence} | {100 * voice.share:.0f} % |"
        for voice in VOICES
        if voice not in facts.missing
    )
    total = sum(voice.share for voice in WIDE_VOICES)
    more = "\n".join(
        f"| {voice.name} | {voice.package} | {voice.licence} "
        f"| {100 * voice.share / total:.0f} % of stages 4 and 5 |"
        for voice in MORE_VOICES
        if voice not in facts.missing
    )
    unseen = "\n".join(
        f"| {voice.name} | {voice.package} | {voice.licence} | evaluation only |"
        for voice in (UNSEEN_VARIANT, UNSEEN_ENGINE)
    )
    absent = "".join(
        f"\nVoice {voice.name} ({voice.package}) was missing when this checkpoint was trained; "
        "the others speak its share.\n"
        for voice in facts.missing
    )
    history = WARM if facts.warm else COLD
    steps, minutes = f"{facts.steps:,}", f"{facts.training_s / 60:.0f}"
    return TEMPLATE.format(
        parameters=f"{facts.parameters:,}",
        history=history.format(
            steps=steps, minutes=minutes, utterances=f"{facts.plain[1]:,}", hours=f"{facts.plain[0]:.1f}"
        ),
        wide_hours=f"{facts.wide[0]:.1f}",
        wide_utterances=f"{facts.wide[1]:,}",
        figures=rows,
        sent=sent,
        markers=marked,
        unspoken=facts.figures.unspoken.recordings,
        unspoken_words=facts.figures.unspoken.words,
        verdict=verdict,
        voices=voices,
        more=more,
        unseen=unseen,
        absent=absent,
        sample_s=f"{sample.seconds:.0f}",
        sample_words=words,
        sample_voice=sample.voice,
        sample_errors=facts.sample.errors,
        chosen=_chosen(facts),
        clip_errors=sum(pick.errors for pick in facts.clips),
    )


def _chosen(facts: Facts) -> str:
    clips = ", ".join(str(pick.passed_over) for pick in facts.clips)
    text = CHOSEN.format(passed_over=facts.sample.passed_over, clips=clips)
    if not facts.kept:
        return text
    names = ["the sample", *(f"clip {number}" for number in range(1, len(facts.clips) + 1))]
    new = [name for number, name in enumerate(names) if number not in facts.kept]
    return f"{text}\n{KEPT} {'New: ' + ', '.join(new) + '.' if new else ''}".rstrip()


TEMPLATE = Path(__file__).with_name("card.md").read_text(encoding="utf-8")
# The parts of the card that hang on how the run began.
COLD = """in one run: {hours} h of dictation ({utterances} utterances) for stages 1 to 3, {steps}
steps in all, {minutes} minutes on two CPU cores."""
WARM = """as described below. **The weights that are here were made in three runs**,
by three versions of the recipe. The first ended after stage 3 (30.2 h of dictation, 15,148 utterances;
6,000 steps, 56 minutes on two CPU cores; stopped and taken up again twice, with a learning rate up to
0.2 % higher in steps 900 to 1,200). Its tokenizer had no placeholders: 13 seldom used pieces gave way
to them, the head's rows of the others were kept. Stage 4 began with its weights (`python -m training
--warm-start FOLDER`): 6,500 steps, 51 minutes beside much other work, without the recordings in which nobody
speaks. What it wrote of noise was words, so stage 5 began with its weights, rounded to half precision, and
has them: {steps} steps, {minutes} minutes. A new run will come out alike, not bit for bit."""
CHOSEN = """The sample is the first report that the model wrote exactly, in one
piece, in windows of 20 s and as the service cuts them; {passed_over} others were passed over. Passed over
for the clips, one by one: {clips}."""
KEPT = """Those that the checkpoint with which the last run began had were kept where this one writes them
exactly, too (0 passed over)."""
