import { errorCatalogue, parseApiKey, problem, WarrenError } from "@warren/contracts";
import { type Environment, readConfig } from "@warren/service";
import { z } from "zod";

const apiConfig = z.object({
  WARREN_API_URL: z
    .url({ protocol: /^https?$/ })
    .default("http://127.0.0.1:8090/api/v1")
    .describe("where the management API is, such as https://warren.internal:8090/api/v1"),
  WARREN_API_KEYS: z
    .string()
    .min(1)
    .describe("a key of the management API, as it is or as name:scopes:key; of several the first is used"),
});

const timeoutMs = 30_000;

/** Calls the management API. Everything that is no 2xx throws a WarrenError with the API's own code. */
export type CallApi = (
  method: "GET" | "POST" | "PATCH" | "DELETE",
  path: string,
  body?: Readonly<Record<string, unknown>>,
) => Promise<unknown>;

export function apiClient(environment: Environment): CallApi {
  const [{ WARREN_API_URL: url, WARREN_API_KEYS: keys }] = readConfig([apiConfig], environment);
  const [first = ""] = keys.trim().split(/[,\n]/);
  const key = parseApiKey(first.trim())?.key ?? first.trim();
  return async (method, path, body) => {
    const answer = await fetch(`${url.replace(/\/$/, "")}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((cause: unknown) => {
      throw unreachable(url, "no answer", cause);
    });
    const text = await answer.text();
    if (answer.ok) return text === "" ? undefined : parsed(url, text);
    const refused = problem.safeParse(parsed(url, text));
    if (!refused.success || !isCode(refused.data.code)) throw unreachable(url, `status ${answer.status}`);
    const { code, detail, title } = refused.data;
    throw new WarrenError(code, detail ?? title);
  };
}

function parsed(url: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw unreachable(url, "what answers there is no management API", cause);
  }
}

function isCode(code: string): code is keyof typeof errorCatalogue {
  return Object.hasOwn(errorCatalogue, code);
}

function unreachable(url: string, why: string, cause?: unknown): WarrenError {
  return new WarrenError("API_UNREACHABLE", `${url}: ${why}`, { cause });
}
