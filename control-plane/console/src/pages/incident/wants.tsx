// What SIRA wants, how sure it is, and why.
import { useSpeech } from "../../app/language";
import { asText, cure, decisionOf } from "../../app/plain";
import type { Decision, Incident } from "../../api/types";
import { Part } from "../../ui/page";
import { Facts, Meter } from "../../ui/parts";
import { Raw } from "../../ui/states";

export function Wants({ incident }: { incident: Incident }) {
  const { t } = useSpeech();
  const decision = decisionOf(incident.sira_decision);
  return (
    <Part title={t("incident.wants")}>
      {decision === null ? <p className="quiet">{t("incident.undecided")}</p> : <Said decision={decision} />}
    </Part>
  );
}

function Said({ decision }: { decision: Decision }) {
  const speech = useSpeech();
  const { t } = speech;
  const what = cure(
    {
      action: decision.action,
      method: decision.method,
      from: decision.current_version,
      to: decision.patch_version,
      config: decision.config,
    },
    speech,
  );
  const impact = decision.estimated_impact ?? null;
  return (
    <>
      <p className="wants">{what}</p>
      {/* The model speaks English. */}
      {decision.explanation && <blockquote lang="en">{decision.explanation}</blockquote>}
      <Facts
        facts={[
          [t("decision.works"), <Meter key="works" share={decision.confidence} label={t("decision.works")} />],
          [t("incident.real"), <Meter key="real" share={decision.confidence_real} label={t("incident.real")} />],
          ...(impact === null
            ? []
            : ([[t("decision.impact"), <span key="impact" lang="en">{asText(impact) ?? JSON.stringify(impact)}</span>]] as [
                string,
                React.ReactNode,
              ][])),
        ]}
      />
      <details>
        <summary>{t("incident.raw")}</summary>
        <Raw value={decision} label={t("incident.raw")} />
      </details>
    </>
  );
}
