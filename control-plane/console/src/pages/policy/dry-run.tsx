// What the policy, as it is being written, would have done with the cures of the last days.
import { Button, SegmentedControl } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { type Change, useCalls } from "../../api/calls";
import type { DryRun as Run, Outcome } from "../../api/types";
import { useSpeech } from "../../app/language";
import { asText, fields } from "../../app/plain";
import { link } from "../../app/router";
import { Part } from "../../ui/page";
import { Failure } from "../../ui/states";

const OUTCOMES: Outcome[] = ["allow", "needs_approval", "refuse"];

export function DryRun({ draft }: { draft: Change }) {
  const { t } = useSpeech();
  const api = useCalls();
  const [days, setDays] = useState("7");
  const run = useMutation({ mutationFn: () => api.dryRun(draft, Number(days)) });
  // What was tried is not what is written any more.
  const written = JSON.stringify(draft);
  useEffect(() => run.reset(), [written, days]);
  return (
    <Part title={t("policy.tryTitle")}>
      <div className="form">
        <p className="small quiet">{t("policy.tryHint")}</p>
        <SegmentedControl
          size="xs"
          fullWidth
          aria-label={t("policy.days")}
          value={days}
          onChange={setDays}
          data={["1", "7", "31"].map((value) => ({ value, label: t("policy.nDays", { n: value }) }))}
        />
        <Button variant="default" loading={run.isPending} onClick={() => run.mutate()}>
          {t("policy.try")}
        </Button>
        {run.error !== null && <Failure error={run.error} />}
        {run.data && <Outcomes run={run.data} />}
      </div>
    </Part>
  );
}

function Outcomes({ run }: { run: Run }) {
  const { t, term, number } = useSpeech();
  return (
    <div role="status">
      <p className="small">{t("policy.judged", { n: number(run.judged), differ: number(run.differ) })}</p>
      <table className="plain">
        <thead>
          <tr>
            <th scope="col" />
            <th scope="col">{t("policy.was")}</th>
            <th scope="col">{t("policy.wouldBe")}</th>
          </tr>
        </thead>
        <tbody>
          {OUTCOMES.map((outcome) => (
            <tr key={outcome} data-differs={run.was[outcome] !== run.would_be[outcome] || undefined}>
              <th scope="row">{t(`policy.${outcome}`)}</th>
              <td>{number(run.was[outcome])}</td>
              <td>{number(run.would_be[outcome])}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {run.differences.length === 0 && <p className="small quiet">{t("policy.same")}</p>}
      <ul className="differences">
        {run.differences.slice(0, 20).map((one) => (
          <li key={`${one.incident_id} ${one.judged_at}`}>
            <a {...link(`/incidents/${one.incident_id}`)}>{term(one.incident_type)}</a>{" "}
            <span className="small">
              {t(`policy.${one.was.outcome}`)} → <strong>{t(`policy.${one.would_be.outcome}`)}</strong>
            </span>
            <div className="small quiet" lang="en">
              {one.would_be.reasons.map((reason) => asText(fields(reason)["words"]) ?? asText(reason)).join("; ")}
            </div>
          </li>
        ))}
      </ul>
    </div>
  );
}
