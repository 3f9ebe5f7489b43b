export interface Row {
  readonly name: string;
  readonly url: string;
  readonly state: string;
}

/** Three columns, as wide as they must be. Pure. */
export function readyTable(rows: readonly Row[]): string {
  const all = [{ name: "service", url: "URL", state: "state" }, ...rows];
  const width = (column: keyof Row): number => Math.max(...all.map((row) => row[column].length));
  const [names, urls] = [width("name"), width("url")];
  const line = ({ name, url, state }: Row): string =>
    `  ${name.padEnd(names)}  ${url.padEnd(urls)}  ${state}`.trimEnd();
  const [head, ...body] = all.map(line);
  return [head, `  ${"─".repeat(names)}  ${"─".repeat(urls)}  ${"─".repeat(width("state"))}`, ...body].join("\n");
}

/** A URL without its password. Pure. */
export function withoutPassword(text: string): string {
  return text
    .split(",")
    .map((one) => {
      if (!URL.canParse(one)) return one;
      const url = new URL(one);
      if (url.password !== "") url.password = "***";
      return url.href;
    })
    .join(",");
}
