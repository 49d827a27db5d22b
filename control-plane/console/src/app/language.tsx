// Which language is spoken: the one chosen before in this browser, else the browser's own.
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { fill, isWord, LANGUAGES, type Language, type Word } from "./words";

const KEY = "plugmend.language";

interface Speech {
  language: Language;
  speak(language: Language): void;
  t(word: Word, values?: Record<string, string | number>): string;
  /** The API's own word (`rolled_back`) in the person's language; one that is not known stays as it is. */
  term(name: string): string;
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
    const t = (word: Word, values = {}) => fill(LANGUAGES[language][word], values);
    return {
      language,
      speak: (chosen) => {
        window.localStorage.setItem(KEY, chosen);
        setLanguage(chosen);
      },
      t,
      term: (name) => {
        const word = `word.${name}`;
        return isWord(word) ? t(word) : name;
      },
    };
  }, [language]);
  return <Context value={speech}>{children}</Context>;
}

export function useSpeech(): Speech {
  const speech = useContext(Context);
  if (speech === null) throw new Error("useSpeech outside of LanguageProvider");
  return speech;
}
