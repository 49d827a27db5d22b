import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useCalls } from "../api/calls";
import { INCIDENT_STATUSES, INCIDENT_TYPES, SEVERITIES } from "../api/types";
import { useSpeech } from "../app/language";
import { useLookEvery } from "../app/live";
import { Choice, Filters, Pager, Search, useFilters } from "../ui/filters";
import { IncidentList } from "../ui/incident-list";
import { Page, Part } from "../ui/page";
import { Empty, Shown } from "../ui/states";

const NAMES = ["status", "severity", "incident_type", "q", "plugin_id", "merchant_id"] as const;

export default function Incidents() {
  const { t } = useSpeech();
  const api = useCalls();
  const asked = { ...useFilters(NAMES), limit: 50 };
  const found = useQuery({
    queryKey: ["incidents", asked],
    queryFn: (signal) => api.incidents(asked, signal),
    placeholderData: keepPreviousData,
    refetchInterval: useLookEvery(),
  });
  return (
    <Page title={t("nav.incidents")} lead={t("incidents.lead")}>
      <Filters names={NAMES}>
        <Search hint={t("incidents.search")} />
        <Choice label={t("incident.status")} name="status" options={INCIDENT_STATUSES} />
        <Choice label={t("incident.severity")} name="severity" options={SEVERITIES} />
        <Choice label={t("incident.type")} name="incident_type" options={INCIDENT_TYPES} />
      </Filters>
      <Shown of={found} lines={8}>
        {({ things, next }) => (
          <>
            {things.length === 0 ? (
              <Empty>{t("incidents.empty")}</Empty>
            ) : (
              <Part flush>
                <IncidentList incidents={things} label={t("nav.incidents")} />
              </Part>
            )}
            <Pager next={next} />
          </>
        )}
      </Shown>
    </Page>
  );
}
