import { nearest, WarrenError } from "@warren/contracts";
import type { z } from "zod";

/** A place of a call that is not as it must be, such as `body.secrets.0`. */
export interface RequestProblem {
  readonly path: string;
  readonly message: string;
}

/** `API_REQUEST_INVALID`; also for what no schema of a route can tell, such as options that depend on the provider. */
export function requestInvalid(problems: readonly RequestProblem[]): WarrenError {
  const text = problems.map(({ path, message }) => `${path}: ${message}`).join("; ");
  return new WarrenError("API_REQUEST_INVALID", text, { details: { errors: problems } });
}

/** `known` are the members of the whole: a misspelt one is told the nearest. */
export function problemsAt(where: string, error: z.ZodError, known: readonly string[] = []): readonly RequestProblem[] {
  return error.issues.flatMap((issue) => {
    const problems = problemsOf([where], issue);
    const [stranger] = issue.code === "unrecognized_keys" && issue.path.length === 0 ? issue.keys : [];
    const near = stranger === undefined ? undefined : nearest(stranger, known);
    return near === undefined
      ? problems
      : problems.map(({ path, message }) => ({ path, message: `${message}; did you mean "${near}"?` }));
  });
}

type Issue = z.core.$ZodIssue;

/** Of a union, which zod calls only "Invalid input": what the member that was meant finds wrong. */
function problemsOf(above: readonly string[], issue: Issue): readonly RequestProblem[] {
  const path = [...above, ...issue.path.map(String)];
  const members: readonly (readonly Issue[])[] = issue.code === "invalid_union" ? issue.errors : [];
  if (members.length === 0) return [{ path: path.join("."), message: issue.message }];
  const kinds = members.flatMap((issues) => issues.map(kindMissed));
  if (!kinds.includes(undefined)) {
    return [{ path: path.join("."), message: `Invalid input: expected ${[...new Set(kinds)].join(" or ")}` }];
  }
  const [meant = []] = members.toSorted((a, b) => strangersIn(a) - strangersIn(b) || depthOf(b) - depthOf(a));
  return meant.flatMap((inner) => problemsOf(path, inner));
}

/** The kind of value that was expected in place of the whole. */
function kindMissed(issue: Issue): string | undefined {
  return issue.code === "invalid_type" && issue.path.length === 0 ? issue.expected : undefined;
}

/** How many fields a member does not know: the one with the fewest was meant. */
function strangersIn(issues: readonly Issue[]): number {
  return issues.reduce((sum, issue) => sum + (issue.code === "unrecognized_keys" ? issue.keys.length : 0), 0);
}

/** How far a member could follow the value before something was wrong. */
function depthOf(issues: readonly Issue[]): number {
  const depths = issues.map(
    (issue) =>
      issue.path.length +
      (issue.code === "invalid_union" ? Math.max(0, ...issue.errors.map((one) => depthOf(one))) : 0),
  );
  return Math.max(0, ...depths);
}
