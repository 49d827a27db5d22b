import { Anchor, Badge, Button, Group, Text } from "@mantine/core";
import { ATTEMPT_STATUSES, type Attempt } from "../api/types";
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
/** The most that the API shows at once; it has no further pages of attempts. */
const MOST = 500;

export function Attempts() {
  const { t } = useSpeech();
  const api = useApi();
  const { query } = usePlace();
  const status = query.get("status");
  const limit = query.get("limit") === String(MOST) ? MOST : PAGE;
  const [loaded, again] = useLoad(`attempts ${status} ${limit}`, (signal) => api.attempts({ status, limit }, signal));

  return (
    <Page title={t("nav.attempts")} again={again}>
      <Group>
        <Choice
          label={t("attempt.status")}
          value={status}
          options={ATTEMPT_STATUSES}
          choose={(chosen) => go(address("/attempts", { status: chosen }))}
        />
      </Group>
      <Shown loaded={loaded} again={again}>
        {(attempts) => (
          <>
            {attempts.length === 0 && <Empty>{t("attempts.empty")}</Empty>}
            {attempts.length > 0 && <List attempts={attempts} />}
            {attempts.length === limit && limit < MOST && (
              <Group>
                <Button component="a" variant="default" {...link(address("/attempts", { status, limit: MOST }))}>
                  {t("list.more", { n: MOST })}
                </Button>
              </Group>
            )}
            {attempts.length === MOST && <Text c="dimmed">{t("attempts.limit", { n: MOST })}</Text>}
          </>
        )}
      </Shown>
    </Page>
  );
}

function List({ attempts }: { attempts: Attempt[] }) {
  const { t, term } = useSpeech();
  const nothing = t("list.nothing");
  const columns: Column<Attempt>[] = [
    { title: t("attempt.method"), cell: (attempt) => term(attempt.method) },
    {
      title: t("attempt.status"),
      cell: (attempt) => (
        <>
          <Term name={attempt.status} />{" "}
          {attempt.requires_approval && attempt.status === "pending" && (
            <Badge color="orange" variant="dot" tt="none">
              {t("attempt.approval")}
            </Badge>
          )}
        </>
      ),
    },
    { title: t("attempt.versions"), cell: (attempt) => `${attempt.from_version} → ${attempt.to_version ?? nothing}` },
    {
      title: t("incident.plugin"),
      cell: (attempt) => <Anchor {...link(`/plugins/${attempt.merchant_plugin_id}`)}>{attempt.cms}</Anchor>,
    },
    {
      title: t("attempt.incident"),
      cell: (attempt) =>
        attempt.incident_id ? (
          <Anchor {...link(`/incidents/${attempt.incident_id}`)}>
            {attempt.incident_type ? term(attempt.incident_type) : t("incident.title")}
          </Anchor>
        ) : (
          nothing
        ),
    },
    { title: t("attempt.by"), cell: (attempt) => attempt.executed_by },
    { title: t("attempt.created"), cell: (attempt) => <When at={attempt.created_at} /> },
    { title: t("attempt.end"), cell: (attempt) => attempt.end_reason ?? attempt.rollback_reason ?? nothing },
  ];
  return <Rows label={t("nav.attempts")} columns={columns} rows={attempts} />;
}
