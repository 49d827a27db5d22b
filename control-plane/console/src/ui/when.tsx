// A moment: how long ago, or when exactly, as the person likes it; the other one is a pointer's rest away.
import { useSpeech } from "../app/language";
import { useNow, useTimes } from "../app/clock";

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

export function relative(at: number, from: number, language: string): string {
  const seconds = Math.round((at - from) / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  for (const [unit, length] of STEPS) {
    if (Math.abs(seconds) >= length) return format.format(Math.trunc(seconds / length), unit);
  }
  return format.format(0, "second");
}

/** Date and time in the person's own zone; the date is left out when it is today. */
export function exact(at: number, from: number, language: string): string {
  const isToday = new Date(at).toDateString() === new Date(from).toDateString();
  const format = isToday ? ({ timeStyle: "medium" } as const) : ({ dateStyle: "medium", timeStyle: "short" } as const);
  return new Intl.DateTimeFormat(language, { ...format, hourCycle: "h23" }).format(at);
}

/** With its zone, so that it can be told to somebody elsewhere. */
export function complete(at: number, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "long", hourCycle: "h23" }).format(at);
}

export function When({ at, none = "–", both = false }: { at: string | null | undefined; none?: string; both?: boolean }) {
  const { language } = useSpeech();
  const clock = useNow();
  const times = useTimes();
  const moment = at ? Date.parse(at) : Number.NaN;
  if (!at || Number.isNaN(moment)) return <>{none}</>;
  const from = Math.max(clock, Date.now());
  const ago = relative(moment, from, language);
  const then = exact(moment, from, language);
  return (
    <time dateTime={at} title={complete(moment, language)} className="when">
      {both ? (
        <>
          {then} <span className="quiet">({ago})</span>
        </>
      ) : times === "absolute" ? (
        then
      ) : (
        ago
      )}
    </time>
  );
}

/** A length of time, in its two largest units. */
export function span(seconds: number, language: string): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "day"],
    [Math.floor((seconds % 86_400) / 3600), "hour"],
    [Math.floor((seconds % 3600) / 60), "minute"],
    [Math.floor(seconds % 60), "second"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  if (first < 0) {
    const digits = { style: "unit", unit: "second", unitDisplay: "short", maximumFractionDigits: 1 } as const;
    return new Intl.NumberFormat(language, digits).format(seconds);
  }
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(n))
    .join(" ");
}
