import { Anchor, Button, Group } from "@mantine/core";
import { INCIDENT_STATUSES, type Incident, SEVERITIES } from "../api/types";
import { useSpeech } from "../app/language";
import { useLoad } from "../app/load";
import { address, go, link, usePlace } from "../app/router";
import { useApi } from "../app/session";
import { Choice } from "../ui/choice";
import { Page } from "../ui/page";
import { type Column, Rows } from "../ui/rows";
import { Empty, Shown } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";

const PAGE = 50;

export function Incidents() {
  const { t, term } = useSpeech();
  const api = useApi();
  const { query } = usePlace();
  const filter = { status: query.get("status"), severity: query.get("severity") };
  const offset = Math.max(0, Math.trunc(Number(query.get("offset")) || 0));
  const asked = { ...filter, limit: PAGE, offset };
  const [loaded, again] = useLoad(`incidents ${JSON.stringify(asked)}`, (signal) => api.incidents(asked, signal));

  const columns: Column<Incident>[] = [
    {
      title: t("incident.type"),
      cell: (incident) => <Anchor {...link(`/incidents/${incident.id}`)}>{term(incident.incident_type)}</Anchor>,
    },
    { title: t("incident.severity"), cell: (incident) => <Term name={incident.severity} /> },
    { title: t("incident.status"), cell: (incident) => <Term name={incident.status} /> },
    {
      title: t("incident.plugin"),
      cell: (incident) => (
        <Anchor {...link(`/plugins/${incident.merchant_plugin_id}`)}>
          {incident.cms} {incident.plugin_version}
        </Anchor>
      ),
    },
    { title: t("incident.detected"), cell: (incident) => <When at={incident.detected_at} /> },
    { title: t("incident.attempts"), cell: (incident) => incident.attempts_count },
  ];
  const turn = (to: number) => link(address("/incidents", { ...filter, offset: to }));
  return (
    <Page title={t("nav.incidents")} again={again}>
      <Group>
        <Choice
          label={t("incident.status")}
          value={filter.status}
          options={INCIDENT_STATUSES}
          choose={(status) => go(address("/incidents", { ...filter, status }))}
        />
        <Choice
          label={t("incident.severity")}
          value={filter.severity}
          options={SEVERITIES}
          choose={(severity) => go(address("/incidents", { ...filter, severity }))}
        />
      </Group>
      <Shown loaded={loaded} again={again}>
        {(incidents) => (
          <>
            {incidents.length === 0 && <Empty>{t("incidents.empty")}</Empty>}
            {incidents.length > 0 && <Rows label={t("nav.incidents")} columns={columns} rows={incidents} />}
            <Group>
              {offset > 0 && (
                <Button component="a" variant="default" {...turn(Math.max(0, offset - PAGE))}>
                  {t("list.previous")}
                </Button>
              )}
              {incidents.length === PAGE && (
                <Button component="a" variant="default" {...turn(offset + PAGE)}>
                  {t("list.next")}
                </Button>
              )}
            </Group>
          </>
        )}
      </Shown>
    </Page>
  );
}
