// The evidence, drawn: what the plugin counted before and after, with the moments at which something changed.
import type { Course, Point } from "../../api/types";
import { useSpeech } from "../../app/language";
import { Chart, type Line, type Mark } from "../../ui/chart";
import { Part } from "../../ui/page";
import { exact } from "../../ui/when";

const seconds = (at: string) => Date.parse(at) / 1000;
const share = (part: number, whole: number) => (whole > 0 ? part / whole : null);

export default function Evidence({ course, type }: { course: Course; type: string }) {
  const { t, percent, number } = useSpeech();
  const { series } = course;
  const marks = useMarks(course);
  if (series.points.length < 2) return <Part title={t("evidence.title")}>{<p className="quiet">{t("evidence.none")}</p>}</Part>;
  const points = withGaps(series.points, series.step_s);
  const times = points.map((point) => seconds(point.at));
  const webhooks = points.some((point) => point.webhook_total > 0);
  const latency = points.some((point) => point.p95_ms !== null);
  const line = (label: string, values: (number | null)[], tone: Line["tone"]): Line => ({ label, values, tone });
  const ofWebhooks = webhooks && (
    <Drawn key="webhooks" title={t("evidence.webhooks")}>
      <Chart
        label={t("evidence.webhooks")}
        times={times}
        lines={[line(t("evidence.failed"), points.map((one) => share(one.webhook_failed, one.webhook_total)), "bad")]}
        marks={marks}
        say={(value) => percent(value)}
      />
    </Drawn>
  );
  const ofErrors = (
    <Drawn key="errors" title={t("evidence.errors")}>
      <Chart
        label={t("evidence.errors")}
        times={times}
        lines={[line(t("evidence.failed"), points.map((one) => share(one.errors, one.requests)), "bad")]}
        marks={marks}
        say={(value) => percent(value, 1)}
      />
    </Drawn>
  );
  const ofLatency = latency && (
    <Drawn key="latency" title={t("evidence.latency")}>
      <Chart
        label={t("evidence.latency")}
        times={times}
        lines={[line("p95", points.map((one) => one.p95_ms), "link")]}
        marks={marks}
        say={(value) => `${number(value, { maximumFractionDigits: 0 })} ms`}
        height={150}
      />
    </Drawn>
  );
  return (
    <Part title={t("evidence.title")}>
      <Compared course={course} />
      {type === "webhook_fail_rate" ? [ofWebhooks, ofErrors] : [ofErrors, ofWebhooks]}
      {ofLatency}
      <Numbers points={series.points} />
    </Part>
  );
}

function Drawn({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <figure className="drawn">
      <figcaption>{title}</figcaption>
      {children}
    </figure>
  );
}

/**
 * A time without telemetry is a hole in the line, not a line across it. How far apart points usually stand is the plugin's
 * business: its windows may be much longer than the steps in which they are counted.
 */
function withGaps(points: Point[], step: number): Point[] {
  const apart = points.slice(1).map((point, at) => seconds(point.at) - seconds(points[at]?.at ?? point.at));
  const usual = Math.max(step, apart.sort((one, other) => one - other)[Math.floor(apart.length / 2)] ?? step);
  const all: Point[] = [];
  for (const point of points) {
    const before = all.at(-1);
    if (before !== undefined && seconds(point.at) - seconds(before.at) > 2.5 * usual) {
      const at = new Date((seconds(before.at) + step) * 1000).toISOString();
      all.push({ at, requests: 0, errors: 0, webhook_total: 0, webhook_failed: 0, p95_ms: null });
    }
    all.push(point);
  }
  return all;
}

function useMarks(course: Course): Mark[] {
  const { t } = useSpeech();
  const marks: Mark[] = course.series.changes.map((change) => ({
    at: seconds(change.at),
    label: `${change.from_version} → ${change.to_version}`,
    tone: "change",
  }));
  marks.push({ at: seconds(course.series.detected_at), label: t("incident.detected"), tone: "bad" });
  for (const moment of course.moments) {
    if (moment.kind === "attempt_success" || moment.kind === "incident_mitigated") {
      marks.push({ at: seconds(moment.at), label: t("evidence.cured"), tone: "good" });
      break;
    }
  }
  return marks.sort((one, other) => one.at - other.at);
}

/** Before and after the moment at which it changed, side by side. */
function Compared({ course }: { course: Course }) {
  const { t, percent, language } = useSpeech();
  const { points, detected_at, changes } = course.series;
  const began = course.moments.find((moment) => moment.kind === "began")?.at;
  const last = changes.filter((change) => change.at <= detected_at).at(-1)?.at;
  const turn = last ?? began ?? detected_at;
  const sum = (some: Point[], part: "errors" | "webhook_failed", whole: "requests" | "webhook_total") =>
    share(
      some.reduce((all, one) => all + one[part], 0),
      some.reduce((all, one) => all + one[whole], 0),
    );
  const before = points.filter((point) => point.at < turn);
  const after = points.filter((point) => point.at >= turn);
  const row = (label: string, part: "errors" | "webhook_failed", whole: "requests" | "webhook_total") => {
    const [was, is] = [sum(before, part, whole), sum(after, part, whole)];
    if (was === null && is === null) return null;
    return (
      <tr>
        <th scope="row">{label}</th>
        <td>{was === null ? "–" : percent(was, 1)}</td>
        <td data-worse={(is ?? 0) > (was ?? 0) * 1.5 || undefined}>{is === null ? "–" : percent(is, 1)}</td>
      </tr>
    );
  };
  const then = exact(Date.parse(turn), Date.now(), language);
  return (
    <table className="plain compared">
      <thead>
        <tr>
          <th scope="col">
            <span className="unseen">{t("evidence.title")}</span>
          </th>
          <th scope="col">{t("evidence.before", { then })}</th>
          <th scope="col">{t("evidence.after")}</th>
        </tr>
      </thead>
      <tbody>
        {row(t("evidence.webhooks"), "webhook_failed", "webhook_total")}
        {row(t("evidence.errors"), "errors", "requests")}
      </tbody>
    </table>
  );
}

/** The same as numbers, for whoever can not see lines. */
function Numbers({ points }: { points: Point[] }) {
  const { t, number, language } = useSpeech();
  return (
    <details>
      <summary>{t("evidence.numbers")}</summary>
      <div className="rows-frame numbers-table" tabIndex={0} role="region" aria-label={t("evidence.numbers")}>
        <table className="plain">
          <thead>
            <tr>
              <th scope="col">{t("audit.when")}</th>
              <th scope="col">{t("evidence.requests")}</th>
              <th scope="col">{t("evidence.errors")}</th>
              <th scope="col">{t("nav.webhooks")}</th>
              <th scope="col">{t("evidence.failed")}</th>
              <th scope="col">p95</th>
            </tr>
          </thead>
          <tbody>
            {points.map((point) => (
              <tr key={point.at}>
                <th scope="row">{exact(Date.parse(point.at), Date.now(), language)}</th>
                <td>{number(point.requests)}</td>
                <td>{number(point.errors)}</td>
                <td>{number(point.webhook_total)}</td>
                <td>{number(point.webhook_failed)}</td>
                <td>{point.p95_ms === null ? "–" : `${number(point.p95_ms, { maximumFractionDigits: 0 })} ms`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
