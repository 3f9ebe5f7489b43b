import { readFileSync } from "node:fs";
import { WarrenError } from "@warren/contracts";
import type { z } from "zod";

/** One wrong setting, in words that never hold its value. */
export interface ConfigProblem {
  readonly variable: string;
  readonly problem: string;
  readonly fix: string;
}

/** All that is wrong with the environment, at once. */
export class ConfigError extends WarrenError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map((one) => `${one.variable} ${one.problem}: ${one.fix}`);
    super("CONFIG_INVALID", lines.join("\n"), { details: { problems } });
    this.problems = problems;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;
export type ReadFile = (path: string) => string;

interface Source {
  readonly values: Record<string, string>;
  readonly problems: ConfigProblem[];
  /** Which variable each value was read from: itself or its `_FILE`. */
  readonly origins: Map<string, string>;
}

/**
 * Reads settings from the environment. Each name of the schema may also be given as `NAME_FILE`, the path of a file that holds the
 * value (Docker and Kubernetes secrets), one final newline aside. An empty variable counts as not set. A field's `describe()` text
 * says what is expected, and is shown when the field is missing or wrong.
 * @throws ConfigError with every problem of every schema
 */
export function readConfig<const S extends readonly z.ZodObject[]>(
  schemas: S,
  environment: Environment,
  readFile: ReadFile = (path) => readFileSync(path, "utf8"),
): { -readonly [K in keyof S]: z.output<S[K]> } {
  const problems: ConfigProblem[] = [];
  const results: unknown[] = [];
  for (const schema of schemas) {
    const source = gather(Object.keys(schema.shape), environment, readFile);
    const parsed = schema.safeParse(source.values);
    const unread = new Set(source.problems.map((one) => one.variable.replace(/_FILE$/, "")));
    problems.push(...source.problems);
    if (parsed.success) {
      results.push(parsed.data);
      continue;
    }
    for (const issue of parsed.error.issues) {
      const name = String(issue.path[0] ?? "");
      if (!unread.has(name)) problems.push(describe(name, schema, source, issue.message));
    }
  }
  const seen = new Map(problems.map((one) => [`${one.variable} ${one.problem}`, one]));
  if (seen.size > 0) throw new ConfigError([...seen.values()]);
  // each schema gave its own output, in order
  return results as { -readonly [K in keyof S]: z.output<S[K]> };
}

function gather(names: readonly string[], environment: Environment, readFile: ReadFile): Source {
  const source: Source = { values: {}, problems: [], origins: new Map() };
  for (const name of names) {
    const fileName = `${name}_FILE`;
    const value = environment[name];
    const file = environment[fileName];
    const hasValue = value !== undefined && value !== "";
    const hasFile = file !== undefined && file !== "";
    if (hasValue && hasFile) {
      source.problems.push({
        variable: name,
        problem: `is set twice, also as ${fileName}`,
        fix: "keep one of the two",
      });
    } else if (hasValue) {
      source.values[name] = value;
      source.origins.set(name, name);
    } else if (hasFile) {
      source.origins.set(name, fileName);
      try {
        source.values[name] = readFile(file).replace(/\r?\n$/, "");
      } catch (error) {
        const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
        const fix = "check the path and the rights of the user that runs the service";
        source.problems.push({ variable: fileName, problem: `names a file that cannot be read${code}`, fix });
      }
    }
  }
  return source;
}

function describe(name: string, schema: z.ZodObject, source: Source, message: string): ConfigProblem {
  const expected = expectation(schema, name);
  const origin = source.origins.get(name);
  if (name === "") return { variable: "the environment", problem: "does not fit together", fix: message };
  if (origin === undefined && !(name in source.values)) {
    return {
      variable: name,
      problem: "is missing",
      fix: `set it (or ${name}_FILE) to ${expected === "" ? "a value" : expected}`,
    };
  }
  const fix = expected === "" ? message : `expected ${expected}`;
  return { variable: origin ?? name, problem: "is not valid", fix };
}

/** The `describe()` text of a field. */
function expectation(schema: z.ZodObject, name: string): string {
  const fields: Readonly<Record<string, unknown>> = schema.shape;
  const field = fields[name];
  const text = typeof field === "object" && field !== null && "description" in field ? field.description : undefined;
  return typeof text === "string" ? text : "";
}
