// Which language is spoken: the one chosen before in this browser, else the browser's own.
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { isWord, type Language, say, type Values, type Word } from "../words";

const KEY = "plugmend.language";

export interface Speech {
  language: Language;
  speak(language: Language): void;
  t(word: Word, values?: Values): string;
  /** The API's own word (`rolled_back`) in the person's language; one that is not known is shown as it is. */
  term(name: string): string;
  number(value: number, options?: Intl.NumberFormatOptions): string;
  /** A share, 0 to 1, in percent. */
  percent(share: number, digits?: number): string;
}

const Context = createContext<Speech | null>(null);

function first(): Language {
  const chosen = window.localStorage.getItem(KEY);
  if (chosen === "en" || chosen === "fr") return chosen;
  return navigator.language.toLowerCase().startsWith("fr") ? "fr" : "en";
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState<Language>(first);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);

  const speech = useMemo<Speech>(() => {
    const t = (word: Word, values?: Values) => say(language, word, values);
    const number = (value: number, options?: Intl.NumberFormatOptions) =>
      new Intl.NumberFormat(language, options).format(value);
    return {
      language,
      speak: (chosen) => {
        window.localStorage.setItem(KEY, chosen);
        setLanguage(chosen);
      },
      t,
      term: (name) => {
        const word = `word.${name}`;
        return isWord(word) ? t(word) : name.replaceAll("_", " ");
      },
      number,
      percent: (share, digits = 0) => number(share, { style: "percent", maximumFractionDigits: digits }),
    };
  }, [language]);
  return <Context value={speech}>{children}</Context>;
}

export function useSpeech(): Speech {
  const speech = useContext(Context);
  if (speech === null) throw new Error("useSpeech outside of LanguageProvider");
  return speech;
}
