import { Alert, Card, Text, Title } from "@mantine/core";
import type { Agent } from "../api/types";
import { useSpeech } from "../app/language";
import { useLoad } from "../app/load";
import { useApi } from "../app/session";
import { Facts } from "../ui/facts";
import { Shown } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";

/** The agent beside a plugin: whether it is trusted, and until when its certificate is good. */
export function AgentCard({ pluginId }: { pluginId: string }) {
  const { t } = useSpeech();
  const api = useApi();
  const [loaded, again] = useLoad(`agent ${pluginId}`, (signal) => api.agent(pluginId, signal));
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {t("agent.title")}
      </Title>
      <Shown loaded={loaded} again={again}>
        {(agent) => (agent === null ? <Text c="dimmed">{t("agent.none")}</Text> : <About agent={agent} />)}
      </Shown>
    </Card>
  );
}

function About({ agent }: { agent: Agent }) {
  const { t } = useSpeech();
  const nothing = t("list.nothing");
  const { revoked, fenced } = agent;
  return (
    <>
      {revoked && (
        <Alert color="red" mb="sm">
          {t("agent.revokedBy", { by: revoked.by ?? nothing, reason: revoked.reason ?? nothing })}{" "}
          <When at={revoked.at} />
        </Alert>
      )}
      {fenced && (
        <Alert color="red" mb="sm">
          {t("agent.fenced")} <When at={fenced.at} />
        </Alert>
      )}
      <Facts
        facts={[
          [t("agent.standing"), <Term key="standing" name={agent.standing} />],
          [t("agent.version"), agent.agent_version],
          [t("agent.enrolled"), <When key="enrolled" at={agent.enrolled_at} />],
          [t("agent.from"), agent.enrolled_from],
          [t("agent.certificate"), <When key="certificate" at={agent.certificates[0]?.not_after} />],
        ]}
      />
    </>
  );
}
