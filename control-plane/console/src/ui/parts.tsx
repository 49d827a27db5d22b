// Small parts that many pages are made of.
import { CopyButton } from "@mantine/core";
import type { ReactNode } from "react";
import { useSpeech } from "../app/language";

/** Names and values, side by side where there is room. */
export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A share, 0 to 1, as a word and a length; `least` is where it begins to be enough. */
export function Meter({ share, label, least }: { share: number | null | undefined; label: string; least?: number }) {
  const { percent, t } = useSpeech();
  if (share === null || share === undefined) return <>{t("list.nothing")}</>;
  const enough = least === undefined || share >= least;
  return (
    <span className="meter">
      <meter min={0} max={1} value={share} aria-label={label} className="unseen" />
      <span className="meter-number">{percent(share)}</span>
      <svg className="meter-bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" data-enough={enough}>
        <rect width="100" height="8" className="meter-ground" />
        <rect width={100 * share} height="8" className="meter-fill" />
        {least !== undefined && <rect x={100 * least - 0.75} width="1.5" height="8" className="meter-mark" />}
      </svg>
    </span>
  );
}

/** An id: short to read, whole to copy. */
export function Id({ id, whole = false }: { id: string; whole?: boolean }) {
  const { t } = useSpeech();
  return (
    <CopyButton value={id}>
      {({ copied, copy }) => (
        <button type="button" className="id" title={id} onClick={copy}>
          <span className="unseen">{t("act.copy")} </span>
          {copied ? t("act.copied") : whole ? id : `…${id.slice(-8)}`}
        </button>
      )}
    </CopyButton>
  );
}

/** A version, and the one it becomes. */
export function Versions({ from, to }: { from: string; to?: string | null }) {
  return (
    <span className="versions">
      {from}
      {to && (
        <>
          {" "}
          <span aria-hidden="true">→</span>
          <span className="unseen">→</span> <strong>{to}</strong>
        </>
      )}
    </span>
  );
}

/** A number that stands for the state of things, with what it counts. */
export function Figure({ value, label, note, tone, href }: {
  value: ReactNode;
  label: string;
  note?: ReactNode;
  tone?: "bad" | "warn" | "good" | "busy" | undefined;
  href?: { href: string; onClick: (event: React.MouseEvent) => void };
}) {
  const inside = (
    <>
      <span className="figure-label">{label}</span>
      <span className="figure-value">{value}</span>
      {note && <span className="figure-note">{note}</span>}
    </>
  );
  return href ? (
    <a className="figure" data-tone={tone} {...href}>
      {inside}
    </a>
  ) : (
    <div className="figure" data-tone={tone}>
      {inside}
    </div>
  );
}
