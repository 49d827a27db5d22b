// Who one is here, and how one likes it: language, colours, times.
import { Menu, SegmentedControl, useMantineColorScheme } from "@mantine/core";
import type { ReactNode } from "react";
import { Icon } from "../ui/icon";
import { setTimes, type Times, useTimes } from "./clock";
import { useSpeech } from "./language";
import { useSession } from "./session";

export function Mine({ help }: { help: () => void }) {
  const { t, term } = useSpeech();
  const { person, signOut } = useSession();
  return (
    <Menu position="bottom-end" width={288} withinPortal={false} closeOnItemClick>
      <Menu.Target>
        <button type="button" className="bare me" aria-label={`${person.subject}: ${t("app.you")}`}>
          <Icon name="person" size={20} />
          <span className="only-wide">{person.subject}</span>
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <div className="mine">
          <div className="quiet">{t("app.signedInAs")}</div>
          <strong>{person.subject}</strong>
          {person.roles.map((role) => (
            <div key={role} className="small">
              {term(role)}
            </div>
          ))}
        </div>
        <Menu.Divider />
        <Preferences />
        <Menu.Divider />
        <Menu.Item onClick={help}>{t("app.keys")}</Menu.Item>
        <Menu.Item onClick={signOut}>{t("app.signOut")}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

export function Preferences() {
  const { t, language, speak } = useSpeech();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const times = useTimes();
  return (
    <div className="mine">
      <Preference label={t("app.language")}>
        <SegmentedControl
          fullWidth
          size="xs"
          aria-label={t("app.language")}
          value={language}
          onChange={(chosen) => speak(chosen === "fr" ? "fr" : "en")}
          data={[
            { value: "en", label: "English" },
            { value: "fr", label: "Français" },
          ]}
        />
      </Preference>
      <Preference label={t("app.scheme")}>
        <SegmentedControl
          fullWidth
          size="xs"
          aria-label={t("app.scheme")}
          value={colorScheme}
          onChange={(chosen) => setColorScheme(chosen as typeof colorScheme)}
          data={(["auto", "light", "dark"] as const).map((value) => ({ value, label: t(`scheme.${value}`) }))}
        />
      </Preference>
      <Preference label={t("app.times")}>
        <SegmentedControl
          fullWidth
          size="xs"
          aria-label={t("app.times")}
          value={times}
          onChange={(chosen) => setTimes(chosen as Times)}
          data={(["relative", "absolute"] as const).map((value) => ({ value, label: t(`times.${value}`) }))}
        />
      </Preference>
    </div>
  );
}

function Preference({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className="preference">
      <span className="small quiet">{label}</span>
      {children}
    </div>
  );
}
