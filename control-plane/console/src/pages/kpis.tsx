// How well the fleet is kept: what was promised first, then what stands behind it.
import { SegmentedControl } from "@mantine/core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import { type Durations, type Kpis, SEVERITIES } from "../api/types";
import { useSpeech } from "../app/language";
import { address, go, link, usePlace } from "../app/router";
import { isWord, type Word } from "../words";
import { Page, Part } from "../ui/page";
import { Figure } from "../ui/parts";
import { Shown } from "../ui/states";
import { span } from "../ui/when";

export default function KpiPage() {
  const { t } = useSpeech();
  const api = useCalls();
  const { query } = usePlace();
  const days = ["7", "30", "90"].includes(query.get("days") ?? "") ? Number(query.get("days")) : 30;
  const found = useQuery({
    queryKey: ["kpis", days],
    queryFn: (signal) => api.kpis(days, signal),
    placeholderData: keepPreviousData,
  });
  return (
    <Page
      title={t("nav.kpis")}
      lead={t("kpis.lead")}
      actions={
        <SegmentedControl
          size="sm"
          aria-label={t("kpis.days")}
          value={String(days)}
          onChange={(chosen) => go(address("/kpis", { days: chosen }))}
          data={["7", "30", "90"].map((value) => ({ value, label: t("policy.nDays", { n: value }) }))}
        />
      }
    >
      <Shown of={found} lines={10}>
        {(kpis) => (
          <>
            <Targets kpis={kpis} />
            <div className="pair">
              <Times kpis={kpis} />
              <ByType kpis={kpis} />
              <Sureness kpis={kpis} />
              <Held kpis={kpis} />
            </div>
          </>
        )}
      </Shown>
    </Page>
  );
}

function Targets({ kpis }: { kpis: Kpis }) {
  const { t, percent, language } = useSpeech();
  return (
    <div className="figures">
      {kpis.targets.map(({ kpi, bound, target, value, holds }) => {
        const say = (x: number) => (kpi.endsWith("_s") ? span(x, language) : percent(x, 1));
        return (
          <Figure
            key={kpi}
            label={isWord(`kpi.${kpi}`) ? t(`kpi.${kpi}` as Word) : kpi}
            value={value === null ? "–" : say(value)}
            tone={holds === null ? undefined : holds ? "good" : "bad"}
            note={
              <>
                {t(bound === "at_most" ? "kpi.at_most" : "kpi.at_least", { x: say(target) })}
                {" · "}
                <strong>{t(holds === null ? "kpi.nothing" : holds ? "kpi.holds" : "kpi.fails")}</strong>
              </>
            }
          />
        );
      })}
    </div>
  );
}

function Times({ kpis }: { kpis: Kpis }) {
  const { t, number, language } = useSpeech();
  const say = (seconds: number | null) => (seconds === null ? "–" : span(seconds, language));
  const rows: [Word, Durations][] = [
    ["kpis.mttd", kpis.mttd],
    ["kpis.mttd_silence", kpis.mttd_silence],
    ["kpis.mttr", kpis.mttr],
    ["kpis.patch_time", kpis.patch_time],
  ];
  return (
    <Part title={t("kpis.times")}>
      <div className="rows-frame" tabIndex={0} role="region" aria-label={t("kpis.times")}>
        <table className="plain spaced">
          <thead>
            <tr>
              <th scope="col">
                <span className="unseen">{t("kpis.times")}</span>
              </th>
              <th scope="col">{t("kpis.count")}</th>
              <th scope="col">{t("kpis.mean")}</th>
              <th scope="col">{t("kpis.median")}</th>
              <th scope="col">{t("kpis.p95")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([word, of]) => (
              <tr key={word}>
                <th scope="row">{t(word)}</th>
                <td>{number(of.count)}</td>
                <td>{say(of.mean_s)}</td>
                <td>{say(of.p50_s)}</td>
                <td>{say(of.p95_s)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Part>
  );
}

function ByType({ kpis }: { kpis: Kpis }) {
  const { t, term, number } = useSpeech();
  const types = [...new Set(kpis.incidents.map((one) => one.incident_type))];
  const count = (type: string, severity: string) =>
    kpis.incidents.find((one) => one.incident_type === type && one.severity === severity)?.incidents ?? 0;
  const all = (type: string) => kpis.incidents.filter((one) => one.incident_type === type);
  const sum = (numbers: number[]) => numbers.reduce((one, other) => one + other, 0);
  return (
    <Part title={t("kpis.incidents")}>
      {types.length === 0 && <p className="quiet">{t("overview.recentNone")}</p>}
      {types.length > 0 && (
        <div className="rows-frame" tabIndex={0} role="region" aria-label={t("kpis.incidents")}>
          <table className="plain spaced">
            <thead>
              <tr>
                <th scope="col">
                  <span className="unseen">{t("incident.type")}</span>
                </th>
                {SEVERITIES.map((severity) => (
                  <th key={severity} scope="col">
                    {term(severity)}
                  </th>
                ))}
                <th scope="col">{t("kpis.all")}</th>
                <th scope="col">{t("kpis.escalated")}</th>
              </tr>
            </thead>
            <tbody>
              {types.map((type) => (
                <tr key={type}>
                  <th scope="row">
                    <a {...link(address("/incidents", { incident_type: type }))}>{term(type)}</a>
                  </th>
                  {SEVERITIES.map((severity) => (
                    <td key={severity}>{count(type, severity) === 0 ? "" : number(count(type, severity))}</td>
                  ))}
                  <td>
                    <strong>{number(sum(all(type).map((one) => one.incidents)))}</strong>
                  </td>
                  <td>{number(sum(all(type).map((one) => one.escalated)))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Part>
  );
}

function Sureness({ kpis }: { kpis: Kpis }) {
  const { t, percent, number } = useSpeech();
  const nothing = kpis.confidence.every((bin) => bin.decisions === 0);
  const most = Math.max(1, ...kpis.confidence.map((bin) => bin.decisions));
  return (
    <Part title={t("kpis.confidence")}>
      {nothing && <p className="quiet">{t("kpis.noOutcomes")}</p>}
      <ul className="histogram">
        {(nothing ? [] : kpis.confidence).map((bin) => (
          <li key={bin.from}>
            <span className="small quiet">
              {percent(bin.from)}–{percent(bin.to)}
            </span>
            <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
              <rect width={(100 * bin.decisions) / most} height="10" className="meter-fill" />
            </svg>
            <span>
              {number(bin.decisions)} <span className="unseen">{t("kpis.decisions")}</span>
            </span>
          </li>
        ))}
      </ul>
    </Part>
  );
}

function Held({ kpis }: { kpis: Kpis }) {
  const { t, term, percent, number } = useSpeech();
  const rows = Object.entries(kpis.calibration).filter(([, of]) => of.outcomes > 0);
  return (
    <Part title={t("kpis.calibration")}>
      <p className="small quiet">{t("kpis.calibrationHint")}</p>
      {rows.length === 0 && <p>{t("kpis.noOutcomes")}</p>}
      {rows.length > 0 && (
        <div className="rows-frame" tabIndex={0} role="region" aria-label={t("kpis.calibration")}>
          <table className="plain spaced">
          <thead>
            <tr>
              <th scope="col">{t("kpis.by")}</th>
              <th scope="col">{t("kpis.outcomes")}</th>
              <th scope="col">{t("kpis.said")}</th>
              <th scope="col">{t("kpis.came")}</th>
              <th scope="col">{t("kpis.error")}</th>
              <th scope="col">Brier</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, of]) => (
              <tr key={name}>
                <th scope="row">{term(name)}</th>
                <td>{number(of.outcomes)}</td>
                <td>{percent(of.said)}</td>
                <td>{percent(of.worked)}</td>
                <td>{percent(of.ece, 1)}</td>
                <td>{number(of.brier, { maximumFractionDigits: 3 })}</td>
              </tr>
            ))}
          </tbody>
        </table>
        </div>
      )}
    </Part>
  );
}
