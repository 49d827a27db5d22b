import "@mantine/core/styles.css";
import "./ui/console.css";
import { createTheme, MantineProvider, Text } from "@mantine/core";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { LanguageProvider, useSpeech } from "./app/language";
import { usePlace } from "./app/router";
import { SessionProvider, useSession } from "./app/session";
import { Shell } from "./app/shell";
import { Attempts } from "./pages/attempts";
import { IncidentPage } from "./pages/incident";
import { Incidents } from "./pages/incidents";
import { PluginPage } from "./pages/plugin";
import { Plugins } from "./pages/plugins";
import { SignIn } from "./pages/sign-in";

/** Dark enough on white for WCAG AA (4.5 to 1); with the system's own fonts. */
const THEME = createTheme({ primaryShade: { light: 8, dark: 8 } });

function Here() {
  const { t } = useSpeech();
  const { api } = useSession();
  const { path } = usePlace();
  if (api === null) return <SignIn />;
  const [, list = "", id, more] = path.split("/").map(plain);
  if (more !== undefined) return <Text>{t("error.notFound")}</Text>;
  switch (list) {
    case "":
    case "plugins":
      return id ? <PluginPage key={id} id={id} /> : <Plugins />;
    case "incidents":
      return id ? <IncidentPage key={id} id={id} /> : <Incidents />;
    case "attempts":
      return <Attempts />;
    default:
      return <Text>{t("error.notFound")}</Text>;
  }
}

/** A part of a path without its escapes; one that can not be read stays as it is. */
function plain(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={THEME} defaultColorScheme="auto">
        <LanguageProvider>
          <SessionProvider>
            <Shell>
              <Here />
            </Shell>
          </SessionProvider>
        </LanguageProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
