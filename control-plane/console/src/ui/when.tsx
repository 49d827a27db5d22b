// A moment, said both ways: how long ago, and when exactly (in the person's own time zone).
import { Text } from "@mantine/core";
import { useSyncExternalStore } from "react";
import { useSpeech } from "../app/language";

/** One clock for the whole page, so that all moments on it age together. */
const TICK_MS = 10_000;
let now = Date.now();

function subscribe(changed: () => void): () => void {
  now = Date.now();
  const timer = window.setInterval(() => {
    now = Date.now();
    changed();
  }, TICK_MS);
  return () => window.clearInterval(timer);
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

export function relative(at: number, from: number, language: string): string {
  const seconds = Math.round((at - from) / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, "second");
}

export function When({ at, none = "–" }: { at: string | null | undefined; none?: string }) {
  const { language } = useSpeech();
  const clock = useSyncExternalStore(subscribe, () => now);
  const moment = at ? Date.parse(at) : Number.NaN;
  if (!at || Number.isNaN(moment)) return <>{none}</>;
  const exact = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(moment);
  return (
    <time dateTime={at}>
      {relative(moment, Math.max(clock, now), language)}
      <Text component="span" display="block" size="xs" c="dimmed">
        {exact}
      </Text>
    </time>
  );
}
