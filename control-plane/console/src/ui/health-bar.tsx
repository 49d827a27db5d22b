// How many plugins are doing how: one bar for the whole fleet, worst first, and the same as words that lead to the list.
import { useSpeech } from "../app/language";
import { address, link } from "../app/router";
import { toneOf } from "./term";

const ORDER = ["ill", "silent", "changing", "recovering", "healthy", "unknown", "off"];

export function HealthBar({ counted, total, word }: {
  counted: Record<string, number>;
  total: number;
  word: (health: string) => string;
}) {
  const { t, number } = useSpeech();
  const shown = ORDER.filter((health) => (counted[health] ?? 0) > 0);
  let left = 0;
  return (
    <>
      <svg className="health-bar" viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true">
        {shown.map((health) => {
          // Even one of a million is to be seen.
          const width = Math.max(6, (1000 * (counted[health] ?? 0)) / Math.max(1, total));
          const x = left;
          left += width;
          return <rect key={health} x={x} width={Math.max(0, width - 2)} height="14" data-tone={toneOf(health)} />;
        })}
      </svg>
      <ul className="health-words">
        {shown.map((health) => (
          <li key={health}>
            <a {...link(address("/plugins", { health }))} data-tone={toneOf(health)}>
              <i aria-hidden="true" />
              <strong>{number(counted[health] ?? 0)}</strong> {word(health)}
            </a>
          </li>
        ))}
        <li className="quiet">{t("overview.ofPlugins", { n: number(total) })}</li>
      </ul>
    </>
  );
}
