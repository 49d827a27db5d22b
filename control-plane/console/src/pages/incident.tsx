import { Anchor, Card, Text, Title } from "@mantine/core";
import type { Incident, Json } from "../api/types";
import { useSpeech } from "../app/language";
import { useLoad } from "../app/load";
import { link } from "../app/router";
import { useApi } from "../app/session";
import { Facts } from "../ui/facts";
import { Page } from "../ui/page";
import { Raw, Shown } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";

export function IncidentPage({ id }: { id: string }) {
  const { t } = useSpeech();
  const api = useApi();
  const [loaded, again] = useLoad(`incident ${id}`, (signal) => api.incident(id, signal));
  return (
    <Page title={t("incident.title")} again={again}>
      <Shown loaded={loaded} again={again}>
        {(incident) => (
          <>
            <About incident={incident} />
            <Decision decision={incident.sira_decision} />
            <Card withBorder>
              <Title order={2} size="h4" mb="sm">
                {t("incident.snapshot")}
              </Title>
              <Raw value={incident.telemetry_snapshot} label={t("incident.snapshot")} />
            </Card>
          </>
        )}
      </Shown>
    </Page>
  );
}

function About({ incident }: { incident: Incident }) {
  const { t, term, language } = useSpeech();
  const nothing = t("list.nothing");
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {term(incident.incident_type)}
      </Title>
      <Facts
        facts={[
          [t("incident.severity"), <Term key="severity" name={incident.severity} />],
          [t("incident.status"), <Term key="status" name={incident.status} />],
          [t("incident.confidence"), percent(incident.confidence, language) ?? nothing],
          [t("incident.detected"), <When key="detected" at={incident.detected_at} />],
          [t("incident.updated"), <When key="updated" at={incident.updated_at} />],
          [t("incident.attempts"), incident.attempts_count],
          [
            t("incident.plugin"),
            <Anchor key="plugin" {...link(`/plugins/${incident.merchant_plugin_id}`)}>
              {incident.cms} {incident.plugin_version}
            </Anchor>,
          ],
          [t("incident.escalated"), incident.escalated_to_ops ? (incident.escalation_reason ?? t("yes")) : t("no")],
          [t("incident.resolution"), incident.resolution ?? nothing],
          [t("plugin.id"), incident.id],
        ]}
      />
    </Card>
  );
}

function Decision({ decision }: { decision: Json }) {
  const { t, language } = useSpeech();
  const fields = decision !== null && typeof decision === "object" && !Array.isArray(decision) ? decision : null;
  const text = (name: string) => {
    const value = fields?.[name];
    return typeof value === "string" ? value : null;
  };
  const confidence = fields?.["confidence"];
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("incident.decision")}
      </Title>
      {fields === null ? (
        <Text c="dimmed">{t("incident.undecided")}</Text>
      ) : (
        <>
          <Facts
            facts={[
              [t("decision.action"), <Term key="action" name={text("action")} />],
              [t("decision.version"), text("patch_version") ?? t("list.nothing")],
              [
                t("decision.confidence"),
                percent(typeof confidence === "number" ? confidence : null, language) ?? t("list.nothing"),
              ],
              [t("decision.why"), text("explanation") ?? t("list.nothing")],
            ]}
          />
          <details>
            <summary>{t("decision.all")}</summary>
            <Raw value={decision} label={t("decision.all")} />
          </details>
        </>
      )}
    </Card>
  );
}

function percent(share: number | null, language: string): string | null {
  if (share === null) return null;
  return new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 }).format(share);
}
