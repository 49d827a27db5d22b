import { Button, Card, Group, Text, Title } from "@mantine/core";
import { useState } from "react";
import type { NewOrder, Plugin } from "../api/types";
import { useSpeech } from "../app/language";
import { useLoad } from "../app/load";
import { ordersOf, rememberOrder, useApi } from "../app/session";
import { Facts } from "../ui/facts";
import { Page } from "../ui/page";
import { Raw, Shown } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";
import { AgentCard } from "./agent";
import { OrderDialog } from "./order";
import { Orders } from "./orders";

export function PluginPage({ id }: { id: string }) {
  const { t } = useSpeech();
  const api = useApi();
  const [loaded, again] = useLoad(`plugin ${id}`, (signal) => api.plugin(id, signal));
  return (
    <Page title={t("plugin.title")} again={again}>
      <Shown loaded={loaded} again={again}>
        {(plugin) => (
          <>
            <About plugin={plugin} />
            <Ordering plugin={plugin} />
            <AgentCard pluginId={plugin.id} />
            <Card withBorder>
              <Title order={2} size="h4" mb="sm">
                {t("plugin.telemetry")}
              </Title>
              <Raw value={plugin.telemetry} label={t("plugin.telemetry")} />
            </Card>
          </>
        )}
      </Shown>
    </Page>
  );
}

function About({ plugin }: { plugin: Plugin }) {
  const { t } = useSpeech();
  const nothing = t("list.nothing");
  return (
    <Card withBorder>
      <Title order={2} size="h4" mb="sm">
        {plugin.product ?? plugin.cms}
      </Title>
      <Facts
        facts={[
          [t("plugin.status"), <Term key="status" name={plugin.status} />],
          [t("plugin.version"), plugin.plugin_version],
          [t("plugin.cms"), plugin.cms],
          [t("plugin.heard"), <When key="heard" at={plugin.last_heartbeat} none={t("plugin.never")} />],
          [t("plugin.errors"), plugin.error_count_24h],
          [t("plugin.capabilities"), plugin.capabilities.join(", ") || nothing],
          [t("plugin.created"), <When key="created" at={plugin.created_at} />],
          [t("plugin.id"), plugin.id],
          [t("plugin.merchant"), plugin.merchant_id],
        ]}
      />
    </Card>
  );
}

function Ordering({ plugin }: { plugin: Plugin }) {
  const { t } = useSpeech();
  const [kind, setKind] = useState<NewOrder["type"] | null>(null);
  const [given, setGiven] = useState(() => ordersOf(plugin.id));
  const done = (commandId: string) => {
    rememberOrder(plugin.id, commandId);
    setGiven(ordersOf(plugin.id));
    setKind(null);
  };
  return (
    <Card withBorder>
      <Group justify="space-between" mb="sm">
        <Title order={2} size="h4">
          {t("orders.title")}
        </Title>
        <Group gap="xs">
          <Button onClick={() => setKind("update")}>{t("orders.update")}</Button>
          <Button variant="default" onClick={() => setKind("rollback")}>
            {t("orders.rollback")}
          </Button>
        </Group>
      </Group>
      <Text size="sm" c="dimmed">
        {t("orders.note")}
      </Text>
      <Orders ids={given} />
      {kind && <OrderDialog plugin={plugin} kind={kind} done={done} close={() => setKind(null)} />}
    </Card>
  );
}
