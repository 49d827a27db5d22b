// One try at a cure: how far it came, what staging and the shop said, and every step that was noted.
import type { ReactNode } from "react";
import type { Attempt, Json } from "../../api/types";
import { useSpeech } from "../../app/language";
import { asNumber, asText, cure, fields } from "../../app/plain";
import { Term } from "../../ui/term";
import { span, When } from "../../ui/when";

export function AttemptCard({ attempt }: { attempt: Attempt }) {
  const speech = useSpeech();
  const { t, term } = speech;
  return (
    <article className="attempt">
      <header>
        <h3>{cure({ action: attempt.method, from: attempt.from_version, to: attempt.to_version }, speech)}</h3>
        <Term name={attempt.status} />
        {attempt.requires_approval && attempt.status === "pending" && (
          <Term name="approval" tone="warn" label={t("attempt.needsApproval")} />
        )}
        <span className="quiet small push">
          {term(attempt.executed_by)}, <When at={attempt.created_at} />
        </span>
      </header>
      <ol className="steps">
        <Step title={t("attempt.step.pending")} state={attempt.status === "pending" ? "now" : "done"}>
          <Yeses attempt={attempt} />
        </Step>
        <Step title={t("attempt.step.staging")} state={stagingState(attempt)}>
          <Staging attempt={attempt} />
        </Step>
        <Step title={t("attempt.step.applying")} state={appliedState(attempt)}>
          <When at={attempt.executed_at} none={t("attempt.waits")} />
        </Step>
        <Step title={t("attempt.step.end")} state={endState(attempt)}>
          <Outcome attempt={attempt} />
        </Step>
      </ol>
      <Log log={attempt.logs} />
    </article>
  );
}

type State = "done" | "now" | "bad" | "later" | "skipped";

function Step({ title, state, children }: { title: string; state: State; children: ReactNode }) {
  return (
    <li data-state={state} aria-current={state === "now" ? "step" : undefined}>
      <span className="step-title">{title}</span>
      <span className="step-says">{children}</span>
    </li>
  );
}

function stagingState(attempt: Attempt): State {
  if (attempt.status === "staging") return "now";
  const result = fields(attempt.staging_result);
  if (result["passed"] === true) return "done";
  if (result["passed"] === false) return "bad";
  return attempt.status === "pending" ? "later" : "skipped";
}

function appliedState(attempt: Attempt): State {
  if (attempt.status === "applying") return "now";
  return attempt.executed_at === null ? "later" : "done";
}

function endState(attempt: Attempt): State {
  if (attempt.status === "success") return "done";
  return ["failed", "rolled_back", "cancelled"].includes(attempt.status) ? "bad" : "later";
}

function Yeses({ attempt }: { attempt: Attempt }) {
  const { t } = useSpeech();
  const yeses = Array.isArray(attempt.approved_by) ? attempt.approved_by : [];
  if (yeses.length === 0) return <When at={attempt.created_at} />;
  return (
    <>
      {yeses.map((yes, at) => (
        <span key={at} className="line">
          {t("attempt.saidYes", { who: asText(fields(yes)["user_id"]) ?? "?" })}
        </span>
      ))}
    </>
  );
}

function Staging({ attempt }: { attempt: Attempt }) {
  const { t, number, language } = useSpeech();
  const result = fields(attempt.staging_result);
  const took = asNumber(result["duration_ms"]);
  const time = took === null ? null : <span className="quiet">{span(took / 1000, language)}</span>;
  if (result["passed"] === true) {
    const n = asNumber(result["tests_run"]) ?? 0;
    return (
      <>
        {n === 0 ? t("attempt.noTests") : t("attempt.passed", { n: number(n) })} {time}
      </>
    );
  }
  if (result["passed"] === false) {
    const errors = Array.isArray(result["errors"]) ? result["errors"] : [];
    return (
      <>
        {t("attempt.notPassed")} {time}
        {errors.slice(0, 3).map((error, at) => (
          <span key={at} className="line" lang="en">
            {String(error)}
          </span>
        ))}
      </>
    );
  }
  return <>{t(attempt.status === "pending" || attempt.status === "staging" ? "attempt.waits" : "attempt.skipped")}</>;
}

function Outcome({ attempt }: { attempt: Attempt }) {
  const { t, percent } = useSpeech();
  const result = fields(attempt.production_result);
  const [before, after] = [asNumber(result["error_rate_before"]), asNumber(result["error_rate_after"])];
  const passed = result["health_check_passed"];
  const why = attempt.rollback_reason ?? attempt.end_reason;
  if (attempt.production_result === null && why === null) return <>{t("attempt.waits")}</>;
  return (
    <>
      {passed === true && <span className="line">{t("attempt.healthy")}</span>}
      {passed === false && <span className="line">{t("attempt.unhealthy")}</span>}
      {passed === null && <span className="line">{t("attempt.inconclusive")}</span>}
      {before !== null && after !== null && (
        <span className="line">
          {t("attempt.errorsBefore")} {percent(before, 1)} → {t("attempt.errorsAfter").toLowerCase()} {percent(after, 1)}
        </span>
      )}
      {why !== null && (
        <span className="line" lang="en">
          {why.replaceAll("_", " ")}
        </span>
      )}
    </>
  );
}

function Log({ log }: { log: Json }) {
  const { t } = useSpeech();
  const lines = Array.isArray(log) ? log.map(fields) : [];
  if (lines.length === 0) return null;
  return (
    <details>
      <summary>{t("attempt.log", { n: lines.length })}</summary>
      <ol className="log" lang="en">
        {lines.map((line, at) => (
          <li key={at} data-level={asText(line["level"]) ?? "info"}>
            <When at={asText(line["timestamp"])} /> <span>{asText(line["message"]) ?? ""}</span>
          </li>
        ))}
      </ol>
    </details>
  );
}
