import { Anchor, Button, Group, Text } from "@mantine/core";
import type { Plugin } from "../api/types";
import { useSpeech } from "../app/language";
import { useLoad } from "../app/load";
import { address, link, usePlace } from "../app/router";
import { useApi } from "../app/session";
import { Page } from "../ui/page";
import { type Column, Rows } from "../ui/rows";
import { Empty, Shown } from "../ui/states";
import { Term } from "../ui/term";
import { When } from "../ui/when";

const PAGE = 50;

export function Plugins() {
  const { t } = useSpeech();
  const api = useApi();
  const after = usePlace().query.get("after");
  const [loaded, again] = useLoad(`plugins ${after}`, (signal) => api.plugins(after, PAGE, signal));

  const columns: Column<Plugin>[] = [
    {
      title: t("plugin.title"),
      cell: (plugin) => (
        <>
          <Anchor {...link(`/plugins/${plugin.id}`)}>{plugin.product ?? plugin.cms}</Anchor>
          <Text size="xs" c="dimmed">
            {plugin.id}
          </Text>
        </>
      ),
    },
    { title: t("plugin.cms"), cell: (plugin) => plugin.cms },
    { title: t("plugin.version"), cell: (plugin) => plugin.plugin_version },
    { title: t("plugin.status"), cell: (plugin) => <Term name={plugin.status} /> },
    { title: t("plugin.heard"), cell: (plugin) => <When at={plugin.last_heartbeat} none={t("plugin.never")} /> },
    { title: t("plugin.errors"), cell: (plugin) => plugin.error_count_24h },
    { title: t("plugin.managed"), cell: (plugin) => t(plugin.agent_managed ? "yes" : "no") },
  ];

  return (
    <Page title={t("nav.plugins")} again={again}>
      <Shown loaded={loaded} again={again}>
        {({ plugins, next }) => (
          <>
            {plugins.length > 0 && <Rows label={t("nav.plugins")} columns={columns} rows={plugins} />}
            {plugins.length === 0 && <Empty>{t(after ? "plugins.end" : "plugins.empty")}</Empty>}
            <Group>
              {after && (
                <Button component="a" variant="default" {...link("/plugins")}>
                  {t("list.first")}
                </Button>
              )}
              {next && (
                <Button component="a" variant="default" {...link(address("/plugins", { after: next }))}>
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
