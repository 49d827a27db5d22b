import "@mantine/core/styles.css";
import "./ui/console.css";
import "./ui/rows.css";
import "./ui/parts.css";
import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { setNonce } from "get-nonce";
import { lazy, StrictMode, Suspense } from "react";
import { createRoot } from "react-dom/client";
import { LanguageProvider } from "./app/language";
import { LiveProvider } from "./app/live";
import { type PageName, pageAt, SIGNED_IN } from "./app/pages";
import { queries } from "./app/queries";
import { usePlace } from "./app/router";
import { SessionProvider, useSession } from "./app/session";
import { Shell } from "./app/shell";
import { nonce, THEME } from "./app/theme";
import { NotFound, Waiting } from "./ui/states";
import { Toasts } from "./ui/toasts";

const SignIn = lazy(() => import("./pages/sign-in"));

/** Each page is a file of its own, loaded when it is come to. */
const SHOWN: Partial<Record<PageName, React.LazyExoticComponent<(props: { id: string }) => React.ReactNode>>> = {
  overview: lazy(() => import("./pages/overview")),
  incidents: lazy(() => import("./pages/incidents")),
  incident: lazy(() => import("./pages/incident")),
  attempts: lazy(() => import("./pages/attempts")),
  plugins: lazy(() => import("./pages/plugins")),
  plugin: lazy(() => import("./pages/plugin")),
  approvals: lazy(() => import("./pages/approvals")),
  kpis: lazy(() => import("./pages/kpis")),
  audit: lazy(() => import("./pages/audit")),
  merchants: lazy(() => import("./pages/merchants")),
  releases: lazy(() => import("./pages/releases")),
  webhooks: lazy(() => import("./pages/webhooks")),
  policy: lazy(() => import("./pages/policy")),
};

function Here() {
  const { ask } = useSession();
  const { path } = usePlace();
  if (ask === null || path === SIGNED_IN) {
    return (
      <Suspense fallback={<Waiting />}>
        <SignIn />
      </Suspense>
    );
  }
  const found = pageAt(path);
  const Shown = found === null ? undefined : SHOWN[found.name];
  return (
    <LiveProvider>
      <Shell>
        <Suspense fallback={<Waiting />}>
          {Shown === undefined || found === null ? <NotFound /> : <Shown key={`${found.name} ${found.id}`} id={found.id} />}
        </Suspense>
      </Shell>
    </LiveProvider>
  );
}

// For what holds the page still behind a dialogue; the component library itself is told below.
setNonce(nonce());

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={THEME} defaultColorScheme="auto" getStyleNonce={nonce}>
        <QueryClientProvider client={queries}>
          <LanguageProvider>
            <Toasts>
              <SessionProvider>
                <Here />
              </SessionProvider>
            </Toasts>
          </LanguageProvider>
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
