// The console's few drawings, 20 by 20, in the colour of the text around them. Never alone: a word stands beside them.
const PATHS = {
  overview: "M3 11.5 10 4l7 7.5M5 10v6h10v-6",
  incidents: "M10 3 18 16.5H2L10 3ZM10 8v4M10 14.2v.1",
  approvals: "M4 10.5 8.2 15 16 5.5",
  attempts: "M10 3v14M3 10h14M5.5 5.5h9v9h-9z",
  plugins: "M4 4h5v5H4zM11 4h5v5h-5zM4 11h5v5H4zM11 11h5v5h-5z",
  merchants: "M3 8 4.5 3.5h11L17 8M4 8v8.5h12V8M8 16.5V12h4v4.5",
  releases: "M10 2.5 17 6v8l-7 3.5L3 14V6l7-3.5ZM3 6l7 3.5L17 6M10 9.5v8",
  policy: "M10 2.5 16.5 5v5c0 4-3 6.5-6.5 7.5C6.5 16.5 3.5 14 3.5 10V5L10 2.5Z",
  audit: "M5 2.5h7l3 3v12H5zM7.5 9h5M7.5 12h5M7.5 6h2",
  webhooks: "M6 6.5a4 4 0 1 1 5 4.5M14.5 10.5a3.5 3.5 0 1 1-3.300 5H6M8.5 9 6 14a3 3 0 1 1-2-4.5",
  kpis: "M3 17h14M5 14v-3M9 14V6M13 14V9M17 14V4",
  search: "M8.5 3a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11ZM12.5 12.5 17 17",
  menu: "M3 5.5h14M3 10h14M3 14.5h14",
  person: "M10 3a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM3.5 17c.8-3.200 3.300-5 6.5-5s5.700 1.800 6.5 5",
  stop: "M7 2.5h6L17.5 7v6L13 17.5H7L2.5 13V7L7 2.5ZM7 10h6",
  calm: "M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15ZM6.800 10.300l2.300 2.400 4.200-5",
  next: "M7.5 4.5 13 10l-5.5 5.5",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      className="icon"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
