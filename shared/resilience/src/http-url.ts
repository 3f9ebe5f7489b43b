/**
 * Builds a path from a template, with each value encoded: `` path`/payments/${id}/refunds` ``. Only this keeps a value such as
 * `../admin` inside its segment.
 */
export function path(texts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return String.raw({ raw: texts }, ...values.map((value) => encodeURIComponent(String(value))));
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** Checks a base URL once: http or https, no query, no fragment, no credentials (they belong into a header that is redacted). */
export function parseBaseUrl(baseUrl: string): URL {
  const url = new URL(baseUrl);
  if (url.protocol !== "https:" && url.protocol !== "http:") throw new TypeError("base URL: only http and https");
  if (url.username !== "" || url.password !== "")
    throw new TypeError("base URL: no credentials; put them into a header");
  if (url.search !== "" || url.hash !== "") throw new TypeError("base URL: no query and no fragment");
  return url;
}

/**
 * Puts `path` under `base`, and refuses whatever would leave it: another host (`//evil`, `https://evil`), a parent directory
 * (`..`, also encoded), a backslash, a query or fragment smuggled in by a value.
 */
export function joinUrl(base: URL, path: string, query: Query = {}): URL {
  if (!path.startsWith("/") || path.startsWith("//") || /[\\?#\s]/.test(path)) {
    throw new TypeError("path must begin with one slash and hold neither query nor fragment; build it with path`…`");
  }
  const root = base.pathname.replace(/\/+$/, "");
  const url = new URL(`${base.origin}${root}${path}`);
  if (url.origin !== base.origin || url.pathname !== `${root}${path}`) {
    throw new TypeError("path must stay under the base URL; build it with path`…`");
  }
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.append(name, String(value));
  }
  return url;
}
