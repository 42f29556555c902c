/**
 * Spoken commands: which words are one, and when. Pure; what they do is in speaking.js.
 *
 * A command is one only where nothing stands beside it: a pause before its first word, one behind its last, nothing
 * else between them, and every word heard surely. In running speech the same words are text ("scratch that itches").
 */

/**
 * @typedef {object} Heard one of the model's own words as it came
 * @property {string} text its share of the formatted text
 * @property {string} raw in the model's notation, with the white space before it
 * @property {import("./transcript.js").Word} word
 *
 * @typedef {"scratch"|"selectSentence"|"goTo"|"nextField"|"previousField"|"insert"|"undo"|"stop"} Name
 *
 * @typedef {object} Command
 * @property {Name} name
 * @property {string} argument the name of a section or passage, where the command has one
 */

/** What is said, and what it is: `{section}` and `{passage}` stand for one name of those that are known. @type {{said: string, name: Name}[]} */
export const COMMANDS = [
  { said: "scratch that", name: "scratch" },
  { said: "select last sentence", name: "selectSentence" },
  { said: "select the last sentence", name: "selectSentence" },
  { said: "go to {section}", name: "goTo" },
  { said: "next field", name: "nextField" },
  { said: "previous field", name: "previousField" },
  { said: "insert {passage}", name: "insert" },
  { said: "undo that", name: "undo" },
  { said: "stop dictation", name: "stop" },
];

/** Longer than any gap inside a phrase that was measured: the model's times end early, so that gaps look long. */
export const PAUSE_S = 0.7;

/** As it is compared: "Go to FINDINGS:" as ["go", "to", "findings"]. @param {string} text @returns {string[]} */
export const plain = (text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** Whether a word is only a mark: "{period}". @param {Heard} heard */
const isMark = ({ word, text }) => /^\s*\{.*\}?$/.test(word.raw ?? "") || !plain(text).length;

/**
 * @param {string[]} words
 * @param {Record<string, string[]>} names of sections and passages
 * @returns {{command: Command|null, goesOn: boolean}} what the words are, and whether more of them could be one, too
 */
export function match(words, names) {
  /** @type {Command|null} */
  let command = null;
  let goesOn = false;
  for (const { said, name } of COMMANDS) {
    const [, fixed, kind] = /** @type {RegExpExecArray} */ (/^([^{]*)(?:\{(\w+)\})?$/.exec(said));
    for (const argument of kind ? (names[kind] ?? []) : [""]) {
      const wanted = [...plain(fixed), ...plain(argument)];
      if (!words.every((word, i) => word === wanted[i])) continue;
      if (words.length === wanted.length) command ??= { name, argument };
      else goesOn = true;
    }
  }
  return { command, goesOn };
}

/** Listens to the words of a dictation, and holds those back that may be the beginning of a command. */
export class CommandListener {
  /**
   * @param {object} listener
   * @param {(heard: Heard[]) => void} listener.onText words that are none, in order
   * @param {(command: Command, heard: Heard[]) => void} listener.onCommand
   * @param {() => Record<string, string[]>} listener.names
   * @param {() => number} listener.threshold of doubt
   */
  constructor({ onText, onCommand, names, threshold }) {
    this.onText = onText;
    this.onCommand = onCommand;
    this.names = names;
    this.threshold = threshold;
    /** @type {Heard[]} */
    this.held = [];
    this.end = -Infinity; // of the last word
  }

  /** What is held back, as it is shown meanwhile. */
  get text() {
    return this.held.map(({ text }) => text).join("");
  }

  /** @param {Heard[]} heard */
  take(heard) {
    for (const each of heard) this.hear(each);
  }

  /** @param {Heard} heard */
  hear(heard) {
    const { start, end } = heard.word;
    const gap = start - this.end;
    if (isMark(heard)) {
      // it belongs to the words before it
      if (this.held.length) this.held.push(heard);
      else this.onText([heard]);
      return;
    }
    if (this.held.length && gap >= PAUSE_S) this.decide();
    const isAlone = this.held.length || gap >= PAUSE_S;
    this.end = end;
    if (isAlone && this.isSure(heard) && this.mayBe([...this.held, heard])) this.held.push(heard);
    else {
      this.release();
      this.onText([heard]);
    }
  }

  /** @param {Heard} heard */
  isSure = ({ word }) => !word.unclear && word.probability >= this.threshold();

  /** @param {Heard[]} heard */
  mayBe(heard) {
    const { command, goesOn } = match(this.words(heard), this.names());
    return Boolean(command) || goesOn;
  }

  /** @param {Heard[]} heard */
  words = (heard) => heard.filter((each) => !isMark(each)).flatMap(({ text }) => plain(text));

  /** Nothing follows, or not soon: what is held is a command, or text. */
  decide() {
    const { held } = this;
    if (!held.length) return;
    const { command } = match(this.words(held), this.names());
    this.held = [];
    if (command) this.onCommand(command, held);
    else this.onText(held);
  }

  release() {
    const { held } = this;
    this.held = [];
    if (held.length) this.onText(held);
  }
}
