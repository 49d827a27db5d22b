// Asking the API for what a page shows, with the three states that this can be in.
import { useCallback, useEffect, useState } from "react";

export type Loaded<T> = { state: "loading" } | { state: "failed"; error: unknown } | { state: "here"; value: T };

/** Asks whenever `key` changes and at `again()`; what comes too late for another key is dropped. */
export function useLoad<T>(key: string, ask: (signal: AbortSignal) => Promise<T>): [Loaded<T>, () => void] {
  const [round, setRound] = useState(0);
  const [answer, setAnswer] = useState<{ key: string; loaded: Loaded<T> }>({ key, loaded: { state: "loading" } });

  useEffect(() => {
    const stop = new AbortController();
    const settle = (loaded: Loaded<T>) => {
      if (!stop.signal.aborted) setAnswer({ key, loaded });
    };
    ask(stop.signal).then(
      (value) => settle({ state: "here", value }),
      (error: unknown) => settle({ state: "failed", error }),
    );
    return () => stop.abort();
    // `ask` is another function at every drawing; `key` says whether it asks for something else.
  }, [key, round]);

  const again = useCallback(() => setRound((n) => n + 1), []);
  return [answer.key === key ? answer.loaded : { state: "loading" }, again];
}
