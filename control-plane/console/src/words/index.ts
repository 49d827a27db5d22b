// The console's words: each in English and French, side by side. `{name}` is filled in; the compiler sees to it that no
// language is left out.
import { API } from "./api";
import { FLEET } from "./fleet";
import { FRAME } from "./frame";
import { INCIDENT } from "./incident";
import { RULES } from "./rules";

const ALL = { ...FRAME, ...API, ...INCIDENT, ...FLEET, ...RULES } satisfies Record<string, readonly [string, string]>;

export const LANGUAGES = ["en", "fr"] as const;
export type Language = (typeof LANGUAGES)[number];
export type Word = keyof typeof ALL;
export type Values = Record<string, string | number>;

export function isWord(name: string): name is Word {
  return Object.hasOwn(ALL, name);
}

/** A word in a language, with its `{name}`s filled in. */
export function say(language: Language, word: Word, values: Values = {}): string {
  const text = ALL[word][LANGUAGES.indexOf(language)] ?? ALL[word][0];
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
