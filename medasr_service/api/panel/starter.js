/** Templates and phrases to begin with: synthetic, and nobody's findings. `[___]` is a field to be filled in. */

/** @typedef {import("./library.js").Passage} Passage */

/** @type {Passage[]} */
export const TEMPLATES = [
  {
    name: "Chest x-ray",
    text: `EXAM: Chest radiograph, [___] views.

INDICATION: [___]

COMPARISON: [___]

FINDINGS:
Lines and tubes: [___]
Lungs: [___]
Pleura: [___]
Heart and mediastinum: [___]
Bones and soft tissues: [___]

IMPRESSION:
[___]`,
  },
  {
    name: "CT head",
    text: `EXAM: CT of the head [___] contrast.

INDICATION: [___]

COMPARISON: [___]

TECHNIQUE: [___]

FINDINGS:
Brain: [___]
Ventricles and extra-axial spaces: [___]
Vessels: [___]
Skull and soft tissues: [___]
Sinuses and mastoids: [___]

IMPRESSION:
[___]`,
  },
  {
    name: "SOAP note",
    text: `SUBJECTIVE:
[___]

OBJECTIVE:
Vital signs: [___]
Examination: [___]

ASSESSMENT:
[___]

PLAN:
[___]`,
  },
  {
    name: "Discharge summary",
    text: `ADMITTED: [___]
DISCHARGED: [___]

DIAGNOSES:
[___]

HOSPITAL COURSE:
[___]

MEDICATIONS AT DISCHARGE:
[___]

FOLLOW-UP:
[___]`,
  },
];

/** @type {Passage[]} */
export const PHRASES = [
  {
    name: "normal chest",
    text: "The lungs are clear. There is no pleural effusion or pneumothorax. The heart is of normal size.",
  },
  { name: "normal abdomen", text: "The abdomen is soft and not tender. There are no masses." },
  { name: "return precautions", text: "The patient was told when to come back, and had no further questions." },
];
