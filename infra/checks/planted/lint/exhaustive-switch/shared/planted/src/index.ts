export function planted(kind: "open" | "closed"): number {
  switch (kind) {
    case "open":
      return 1;
  }
  return 0;
}
