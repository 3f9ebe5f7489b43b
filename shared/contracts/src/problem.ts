import { z } from "zod";

/** The body of every error answer over HTTP, `application/problem+json`. Source: RFC 9457. */
export const problem = z.object({
  /** `urn:warren:error:<code>`: looks up nothing, but never changes. */
  type: z.string(),
  /** The meaning of the code, from the catalogue. */
  title: z.string(),
  status: z.int(),
  code: z.string(),
  /** What is wrong with this very request. */
  detail: z.string().optional(),
  /** Under which the logs and the stored request are found. */
  correlationId: z.string().optional(),
  /** Each place of a call that is not as it must be, such as `body.secrets.0`. */
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

export type Problem = z.infer<typeof problem>;

export const problemContentType = "application/problem+json";
