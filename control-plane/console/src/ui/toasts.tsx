// Short words about what was just done; said to screen readers as well, and gone by themselves.
import { createContext, type ReactNode, useCallback, useContext, useRef, useState } from "react";
import { Icon } from "./icon";

const LASTS_MS = 6000;
const Context = createContext<(text: string) => void>(() => undefined);

export function Toasts({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<{ id: number; text: string }[]>([]);
  const last = useRef(0);
  const tell = useCallback((text: string) => {
    last.current += 1;
    const id = last.current;
    setShown((before) => [...before.slice(-2), { id, text }]);
    window.setTimeout(() => setShown((before) => before.filter((one) => one.id !== id)), LASTS_MS);
  }, []);
  return (
    <Context value={tell}>
      {children}
      <div className="toasts" role="status" aria-live="polite">
        {shown.map(({ id, text }) => (
          <div key={id} className="toast">
            <Icon name="calm" /> {text}
          </div>
        ))}
      </div>
    </Context>
  );
}

/** Says something that was done. */
export function useTell(): (text: string) => void {
  return useContext(Context);
}
