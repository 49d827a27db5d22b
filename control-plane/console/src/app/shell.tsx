// What stands around every page: the way to the other pages, language, colours, and the way out.
import { Anchor, Button, Container, Group, NativeSelect, Text, useMantineColorScheme } from "@mantine/core";
import type { ReactNode } from "react";
import { useSpeech } from "./language";
import { link, usePlace } from "./router";
import { useSession } from "./session";
import type { Word } from "./words";

const PAGES: [string, Word][] = [
  ["/plugins", "nav.plugins"],
  ["/incidents", "nav.incidents"],
  ["/attempts", "nav.attempts"],
];

export function Shell({ children }: { children: ReactNode }) {
  const { t } = useSpeech();
  return (
    <>
      <a className="skip" href="#content">
        {t("app.skip")}
      </a>
      <Container size="xl" py="md">
        <Group component="header" justify="space-between" mb="lg" gap="sm">
          <Group gap="md">
            <Text fw={700}>{t("app.name")}</Text>
            <Ways />
          </Group>
          <Group gap="xs">
            <Settings />
            <Leave />
          </Group>
        </Group>
        <main id="content" tabIndex={-1} style={{ outline: "none" }}>
          {children}
        </main>
      </Container>
    </>
  );
}

function Ways() {
  const { t } = useSpeech();
  const { api } = useSession();
  const { path } = usePlace();
  if (api === null) return null;
  return (
    <Group component="nav" gap="md" aria-label={t("app.nav")}>
      {PAGES.map(([to, word]) => {
        const here = path === to || path.startsWith(`${to}/`) || (path === "/" && to === "/plugins");
        return (
          <Anchor key={to} {...link(to)} aria-current={here ? "page" : undefined} fw={here ? 700 : 400}>
            {t(word)}
          </Anchor>
        );
      })}
    </Group>
  );
}

function Settings() {
  const { t, language, speak } = useSpeech();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <>
      <NativeSelect
        size="xs"
        aria-label={t("app.language")}
        value={language}
        onChange={(event) => speak(event.currentTarget.value === "fr" ? "fr" : "en")}
        data={[
          { value: "en", label: "English" },
          { value: "fr", label: "Français" },
        ]}
      />
      <NativeSelect
        size="xs"
        aria-label={t("app.scheme")}
        value={colorScheme}
        onChange={(event) => setColorScheme(event.currentTarget.value as typeof colorScheme)}
        data={(["auto", "light", "dark"] as const).map((value) => ({ value, label: t(`scheme.${value}`) }))}
      />
    </>
  );
}

function Leave() {
  const { t } = useSpeech();
  const { api, subject, signOut } = useSession();
  if (api === null) return null;
  return (
    <>
      <Text size="sm" c="dimmed">
        {subject}
      </Text>
      <Button size="xs" variant="default" onClick={signOut}>
        {t("app.signOut")}
      </Button>
    </>
  );
}
