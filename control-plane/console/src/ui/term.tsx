// One of the API's words beside a dot coloured by how much it should worry; the word is what counts.
import { useSpeech } from "../app/language";

export type Tone = "bad" | "warn" | "busy" | "good" | "quiet";

const TONES: Record<Tone, string[]> = {
  bad: ["critical", "error", "failed", "revoked", "fenced", "blocked", "timeout", "escalated", "ill", "dead", "rejected"],
  warn: ["high", "open", "rolled_back", "silent", "quarantined", "expired", "void"],
  busy: [
    "in_progress", "staging", "applying", "sent", "acknowledged", "executing", "pending_update", "pending", "recovering",
    "changing", "mitigated", "retrying",
  ],
  good: ["active", "success", "completed", "healthy", "published", "delivered", "approved"],
  quiet: [],
};
const TONE = new Map(Object.entries(TONES).flatMap(([tone, names]) => names.map((name) => [name, tone as Tone])));

export function toneOf(name: string): Tone {
  return TONE.get(name) ?? "quiet";
}

export function Term({ name, tone, label }: { name: string | null | undefined; tone?: Tone; label?: string }) {
  const { term, t } = useSpeech();
  if (name === null || name === undefined) return <>{t("list.nothing")}</>;
  return (
    <span className="term" data-tone={tone ?? toneOf(name)}>
      <i aria-hidden="true" />
      {label ?? term(name)}
    </span>
  );
}

const WEIGHT: Record<string, number> = { low: 1, medium: 2, high: 3, critical: 4 };

/** How bad it is: a word, and bars for whoever reads a column from afar. */
export function Severity({ name }: { name: string | null }) {
  const { term, t } = useSpeech();
  if (name === null) return <>{t("list.nothing")}</>;
  const weight = WEIGHT[name] ?? 0;
  return (
    <span className="severity" data-severity={name}>
      <span className="bars" aria-hidden="true">
        {[1, 2, 3, 4].map((bar) => (
          <i key={bar} data-on={bar <= weight || undefined} />
        ))}
      </span>
      {term(name)}
    </span>
  );
}
